"""Fakes of what VMs ask of the host: a runtime, first processes, files of guests."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, execute, fail, succeed
from zope.interface import implementer
from zope.interface.verify import verifyObject

from runc_cpi.daemon.storage.bundle import Bundle
from runc_cpi.daemon.vms.interfaces import IFirstProcess, IGuests, IRuntime
from runc_cpi.errors import StillRunning
from tests.fakes.script import Script


@implementer(IFirstProcess)
class FakeFirstProcess:
    """A first process that ends at the first signal."""

    pid = 4242

    def __init__(self, runtime: FakeRuntime, vm_cid: str) -> None:
        self._runtime, self._vm_cid = runtime, vm_cid
        self._signals: list[int] = []

    def send(self, number: int) -> None:
        """Note the signal."""
        self._signals.append(number)
        self._runtime.script.done.append(f"signal {number}")

    def ended_within(self, seconds: float | None) -> Awaitable[bool]:
        """End at the first signal."""
        if seconds is None:
            self._watching = Deferred()
            self._runtime.watched[self._vm_cid] = self._watching
            return self._watching
        ended = bool(self._signals)
        if ended:
            self._runtime.running.discard(self._vm_cid)
        return succeed(ended)

    def exit_status(self) -> Awaitable[int | None]:
        """Return what the test has set."""
        return succeed(self._runtime.status)

    def close(self) -> None:
        """Let go."""
        self._runtime.script.done.append("close")


@implementer(IRuntime)
class FakeRuntime:
    """
    Containers that are no more than names.

    @ivar running: which run.
    @ivar made: which were made, and are known until they are deleted.
    @ivar lowers: the file system below that each was made with.
    @ivar hanging: whether killing them is of no use.
    @ivar watched: what fires at the end of one that is watched.
    @ivar status: the wait status of those that end.
    """

    def __init__(self, script: Script) -> None:
        self.script = script
        self.running: set[str] = set()
        self.made: set[str] = set()
        self.lowers: dict[str, Path] = {}
        self.hanging = False
        self.watched: dict[str, Deferred[bool]] = {}
        self.status: int | None = None

    def create(self, bundle: Bundle, lower: Path) -> Awaitable[int]:
        """Make a container."""
        self.made.add(bundle.vm_cid)
        self.lowers[bundle.vm_cid] = lower
        return self.script.act("create", FakeFirstProcess.pid)

    def start(self, bundle: Bundle) -> Awaitable[None]:
        """Have it run."""
        started = self.script.act("start")
        return started.addCallback(lambda _: self.running.add(bundle.vm_cid))

    def delete(self, bundle: Bundle) -> Awaitable[None]:
        """End and remove it."""
        vm_cid = bundle.vm_cid
        if self.hanging and vm_cid in self.running:
            return fail(StillRunning(f"{vm_cid} hangs"))
        self.running.discard(vm_cid)
        self.made.discard(vm_cid)
        return self.script.act("delete")

    def execute(
        self, bundle: Bundle, argv: Sequence[str], timeout: float
    ) -> Awaitable[Any]:
        """Run nothing."""
        return self.script.act("execute")

    def known(self) -> list[str]:
        """Name what was made."""
        return sorted(self.made)

    def knows(self, vm_cid: str) -> bool:
        """Say whether it was made, and not deleted since."""
        return vm_cid in self.made

    def find_process(self, bundle: Bundle) -> FakeFirstProcess | None:
        """Return the first process of what runs."""
        vm_cid = bundle.vm_cid
        return FakeFirstProcess(self, vm_cid) if vm_cid in self.running else None


@implementer(IGuests)
class FakeGuests:
    """
    Guests whose files are no more than notes.

    @ivar cleared: where it was cleared up before a boot.
    @ivar written: what was written, by name.
    """

    def __init__(self, script: Script) -> None:
        self._script = script
        self.cleared: list[str] = []
        self.written: dict[str, str] = {}

    def run(self, vm_cid: str, work: Callable[[], Any]) -> Any:
        """Do it at once, on the real files."""
        return execute(work)

    def prepare(
        self, vm_cid: str, pid: int, stale: str, pid_files: str, writable: Any
    ) -> Any:
        """Note it."""
        self.cleared += [stale, pid_files]
        return self._script.act("prepare")

    def write(self, vm_cid: str, pid: int, name: str, content: str) -> Any:
        """Keep it."""
        self.written[name] = content
        return self._script.act("write settings")


verifyObject(IRuntime, FakeRuntime(Script()))
verifyObject(IFirstProcess, FakeFirstProcess(FakeRuntime(Script()), ""))
verifyObject(IGuests, FakeGuests(Script()))
