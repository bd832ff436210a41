"""Does work on files of VMs in threads that are given up when a VM makes them hang."""

from __future__ import annotations

from collections.abc import Callable
from threading import Thread
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, DeferredSemaphore
from twisted.python.failure import Failure

from runc_cpi.daemon.base.shortage import failed_call
from runc_cpi.daemon.host.namespaces import unshare_fs
from runc_cpi.errors import CloudError, DaemonUnreachable, HostShort

AT_ONCE = 64  # visits

T = TypeVar("T")


class Visits:
    """
    Does each piece of work in a new thread, for a limited time.

    A thread that does not end in time is given up.  Nobody waits for it any more, not even
    the daemon when it ends, and it gets no other work.  Until it ends its VM is not visited
    again, so no VM can hold more than one thread.

    @param seconds: the time after which a visit is given up.
    """

    def __init__(self, reactor: Any, seconds: float) -> None:
        self._reactor, self._seconds = reactor, seconds
        self._slots = DeferredSemaphore(AT_ONCE)
        self._hanging: set[str] = set()
        self._waiting: set[Deferred[Any]] = set()

    async def run(
        self,
        vm_cid: str,
        work: Callable[[], T],
        *,
        seconds: float | None = None,
        unwanted: Callable[[T], object] | None = None,
    ) -> T:
        """
        Do C{work}, which may block, and may change the mount namespace of its thread.

        @param vm_cid: the VM that may make it hang.
        @param seconds: the time after which it is given up, if not the usual one.
        @param unwanted: is called with a result that came too late, to release it.
        @return: what C{work} returns.
        @raise CloudError: if it takes too long, if earlier work for the VM still hangs, or
            if it raises C{OSError}.
        """
        self._check(vm_cid)
        await self._slots.acquire()
        try:
            self._check(vm_cid)
            visit = self._visit(vm_cid, work, seconds or self._seconds, unwanted)
            return await visit
        except OSError as error:
            raise failed_call(error.errno, f"{vm_cid}: {error}") from error
        finally:
            self._slots.release()

    def _check(self, vm_cid: str) -> None:
        if vm_cid in self._hanging:
            raise CloudError(
                f"{vm_cid}: an earlier visit to its files still hangs; reboot or delete it"
            )

    async def _visit(
        self,
        vm_cid: str,
        work: Callable[[], T],
        seconds: float,
        unwanted: Callable[[T], object] | None,
    ) -> T:
        waiting: Deferred[T] = Deferred()

        def came_back(outcome: T | Failure) -> None:
            self._hanging.discard(vm_cid)
            if not waiting.called:
                waiting.callback(outcome)
            elif unwanted is not None and not isinstance(outcome, Failure):
                # To release the result may take as long as the visit.
                Thread(target=unwanted, args=(outcome,), daemon=True).start()

        def visiting() -> None:
            outcome: T | Failure
            try:
                unshare_fs()
                outcome = work()
            except BaseException:
                outcome = Failure()
            self._reactor.callFromThread(came_back, outcome)

        # Python does not wait for the end of such a thread when it ends itself.
        Thread(target=visiting, name=f"visit {vm_cid}", daemon=True).start()
        alarm = self._reactor.callLater(seconds, self._give_up, waiting, vm_cid, seconds)
        self._waiting.add(waiting)
        try:
            return await waiting
        finally:
            self._waiting.discard(waiting)
            if alarm.active():
                alarm.cancel()

    def _give_up(self, waiting: Deferred[Any], vm_cid: str, seconds: float) -> None:
        self._hanging.add(vm_cid)
        key = " (visit_timeout)" if seconds == self._seconds else ""
        waiting.errback(
            HostShort(
                f"{vm_cid}: a visit to its files did not end within {seconds:g} s{key}: "
                "something in the VM hangs"
            )
        )

    def close(self) -> None:
        """Give up all visits, because the daemon ends."""
        for waiting in list(self._waiting):
            text = "the daemon ends, and breaks off a visit to a VM"
            waiting.errback(DaemonUnreachable(text))
