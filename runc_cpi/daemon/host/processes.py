"""Runs child processes: each is bounded in number, time and output, and is reaped."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any

from twisted.internet.defer import Deferred, DeferredSemaphore
from twisted.internet.error import ProcessExitedAlready, ProcessTerminated
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

from runc_cpi.daemon.base.outcome import Outcome
from runc_cpi.daemon.base.shortage import failed_call
from runc_cpi.daemon.host import priorities, spawning
from runc_cpi.errors import CloudError

# The kernel sends the signal when the parent ends (PR_SET_PDEATHSIG, prctl(2)).
DIES_WITH_US = ("setpriv", "--pdeathsig=KILL", "--")
MARK = 9  # the number of the mark's descriptor in a child
IDLE_LIMIT = 32  # children
STDERR_TAIL = 4096  # bytes
STDOUT_LIMIT = 1 << 20  # bytes

SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# How skopeo reaches a registry.
INHERITED = (
    "http_proxy", "https_proxy", "no_proxy",
    "REGISTRY_AUTH_FILE", "SSL_CERT_FILE",
)  # fmt: skip


def environment() -> dict[str, str]:
    """Return that of children: no NOTIFY_SOCKET, with which runc behaves differently."""
    return {
        "PATH": os.environ.get("PATH", SEARCH_PATH),
        "LC_ALL": "C.UTF-8",
        **{name: os.environ[name] for name in INHERITED if name in os.environ},
    }


class Lane(Enum):
    """What kind of work a child does.  Children queue behind those of their kind alone."""

    QUICK = "takes milliseconds"
    BULK = "reads or writes much"
    IDLE = "waits for something else most of the time"


class Child(ProcessProtocol):
    """
    A running child process.

    @ivar ended: fires with an L{Outcome} once the child is reaped and its pipes are
        closed; it never fails.
    """

    transport: Any

    def __init__(self, argv: Sequence[str]) -> None:
        self._argv = tuple(argv)
        self._stdout: list[bytes] = []
        self._stdout_room = STDOUT_LIMIT
        self._stderr = b""
        self._timed_out = False
        self.outcome: Outcome | None = None
        self.ended: Deferred[Outcome] = Deferred()

    def outReceived(self, data: bytes) -> None:
        """Keep what the child writes to stdout, up to L{STDOUT_LIMIT}."""
        kept = data[: self._stdout_room]
        self._stdout_room -= len(kept)
        self._stdout.append(kept)

    def errReceived(self, data: bytes) -> None:
        """Keep the end of what the child writes to stderr."""
        self._stderr = (self._stderr + data)[-STDERR_TAIL:]

    def processEnded(self, reason: Failure) -> None:
        """Fire L{ended}: the child is reaped, and its pipes are closed."""
        end: Any = reason.value
        terminated = isinstance(end, ProcessTerminated)
        self.outcome = Outcome(
            argv=self._argv,
            status=end.exitCode if terminated else 0,
            signal=end.signal if terminated else None,
            timed_out=self._timed_out,
            stdout=b"".join(self._stdout),
            stderr=self._stderr,
        )
        self.ended.callback(self.outcome)

    def kill(self) -> None:
        """Send the child SIGKILL, if it has not ended."""
        self._signal("KILL")

    def end(self) -> None:
        """Send the child SIGTERM, so that it ends in order."""
        self._signal("TERM")

    def _signal(self, name: str) -> None:
        try:
            self.transport.signalProcess(name)
        except ProcessExitedAlready:
            return

    def expire(self) -> None:
        """Kill the child because its time is up."""
        self._timed_out = True
        self.kill()
        # Whoever inherited its pipes is not waited for.
        self.transport.loseConnection()


class Processes:
    """
    Starts child processes.

    @param reactor: reaps children, and provides C{IReactorTime}.
    @param limit: how many children L{run} may have at once in each lane but C{IDLE}.
    @param mark: a descriptor that children get, and pass on to what they start.  The next
        daemon can tell by it when the last of them has ended.
    """

    def __init__(self, reactor: Any, limit: int, mark: int) -> None:
        self._reactor, self._mark = reactor, mark
        self.limit = limit
        self._slots = {
            Lane.QUICK: DeferredSemaphore(limit),
            Lane.BULK: DeferredSemaphore(limit),
            Lane.IDLE: DeferredSemaphore(IDLE_LIMIT),
        }
        self._children: set[Child] = set()
        self._null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        spawning.close_at_exec()

    def spawn(
        self,
        argv: Sequence[str],
        *,
        timeout: float,
        child_fds: Mapping[int, int | str],
        dies_with_us: bool = True,
        marked: bool = True,
        idle: bool = False,
    ) -> Child:
        """
        Start a child at once.

        @param timeout: seconds after which it is killed.
        @param dies_with_us: whether the kernel kills it when the daemon ends, for whatever
            reason; if not, the next daemon waits for it.
        @param child_fds: its descriptors, as C{childFDs} of Twisted's C{spawnProcess}.
        @param marked: whether the next daemon waits for it, and for what it starts.
        @param idle: whether all else that uses the disk and the processors goes first.
        @raise CloudError: if the program is not there or cannot be run.
        """
        child, fds = Child(argv), dict(child_fds)
        if marked:
            fds[MARK] = self._mark
        env = environment()
        if shutil.which(argv[0], path=env["PATH"]) is None:
            number = errno.EACCES if os.path.exists(argv[0]) else errno.ENOENT
            raise CloudError(f"cannot run {argv[0]}: {os.strerror(number)}")
        if dies_with_us:
            argv = [*DIES_WITH_US, *argv]
        try:
            spawning.start(self._reactor, child, argv, env, fds)
        except OSError as error:
            text = f"cannot run {argv[0]}: {error.strerror}"
            raise failed_call(error.errno, text) from None
        if idle and child.transport.pid is not None:
            priorities.lower(child.transport.pid)
        alarm = self._reactor.callLater(timeout, child.expire)

        def disarm(outcome: Outcome) -> Outcome:
            self._children.discard(child)
            if alarm.active():
                alarm.cancel()
            return outcome

        self._children.add(child)
        child.ended.addCallback(disarm)
        return child

    def waiting(self) -> int:
        """Return how many children wait for a slot."""
        return sum(len(slots.waiting) for slots in self._slots.values())

    def end_all(self) -> None:
        """Send all children SIGTERM; whoever waits for one sees it fail."""
        for child in list(self._children):
            child.end()

    async def run(
        self,
        argv: Sequence[str],
        *,
        timeout: float,
        lane: Lane = Lane.QUICK,
        output: int | None = None,
        inherit: Mapping[int, int] | None = None,
        dies_with_us: bool = True,
        idle: bool = False,
    ) -> Outcome:
        """
        Run a child to its end, as soon as there is a slot in its lane.

        @param timeout: seconds after which it is killed; its end is still waited for.
        @param output: a descriptor for stdout and stderr.  Needed for a child that
            leaves descendants: they would hold a pipe open.
        @param dies_with_us: as L{spawn} says.
        @param idle: as L{spawn} says.
        @param inherit: further descriptors, by the numbers that they have in the child.
        @raise CloudError: if the program is not there or cannot be run.
        """
        streams: dict[int, int | str] = {1: "r", 2: "r"}
        if output is not None:
            streams = {1: output, 2: output}
        fds = {0: self._null, **streams, **(inherit or {})}
        slots = self._slots[lane]
        await slots.acquire()
        try:
            return await self.spawn(
                argv,
                timeout=timeout,
                child_fds=fds,
                dies_with_us=dies_with_us,
                idle=idle,
            ).ended
        finally:
            slots.release()
