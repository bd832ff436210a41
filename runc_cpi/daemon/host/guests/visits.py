"""Work on what a VM may keep waiting for ever: in threads that can be given up."""

from __future__ import annotations

from collections.abc import Callable
from threading import Thread
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, DeferredSemaphore
from twisted.python.failure import Failure

from runc_cpi.daemon.host.namespaces import leave_alone
from runc_cpi.errors import CloudError

AT_ONCE = 64

T = TypeVar("T")


class Visits:
    """
    Has each piece of work done in a new thread, for a limited time.

    A thread that does not come back in time is left behind.  It is not waited for, not
    even when the daemon ends, and does nothing else.  Until it comes back its VM is not
    visited again, so no VM can hold more than one thread.

    @param seconds: after how long a visit is given up, unless it is given longer.
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
        Do C{work}, which may block, and change the mount namespace that it is in.

        @param vm_cid: of the VM that may make it hang.
        @param seconds: how long it may take, if that is not the usual time.
        @param unwanted: gets a result that came too late, to let go of it.
        @raise CloudError: if it takes too long, if earlier work for the VM did and still
            does, or if the kernel refuses something.
        """
        self._check(vm_cid)
        await self._slots.acquire()
        try:
            self._check(vm_cid)
            visit = self._visit(vm_cid, work, seconds or self._seconds, unwanted)
            return await visit
        except OSError as error:
            raise CloudError(f"{vm_cid}: {error}") from error
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
                # It may take as long as the visit.
                Thread(target=unwanted, args=(outcome,), daemon=True).start()

        def visiting() -> None:
            outcome: T | Failure
            try:
                leave_alone()
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
            CloudError(
                f"{vm_cid}: a visit to its files did not end within {seconds:g} s{key}: "
                "something in the VM hangs"
            )
        )

    def close(self) -> None:
        """Give up what is under way, for the daemon ends."""
        for waiting in list(self._waiting):
            waiting.errback(CloudError("the daemon ends, and breaks off a visit to a VM"))
