"""Fakes of what VMs ask of the host: a runtime, first processes, files of guests."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, execute, fail, succeed
from zope.interface import implementer
from zope.interface.verify import verifyObject

from runc_cpi.daemon.vms.interfaces import IGuests, IInit, IRuntime
from runc_cpi.errors import StillRunning
from tests.fakes.script import Script


@implementer(IInit)
class FakeInit:
    """A first process that ends at the first signal."""

    pid = 4242

    def __init__(self, runtime: FakeRuntime, container_id: str) -> None:
        self._runtime, self._container_id = runtime, container_id
        self._signals: list[int] = []

    def send(self, number: int) -> None:
        """Note the signal."""
        self._signals.append(number)
        self._runtime.script.done.append(f"signal {number}")

    def ended_within(self, seconds: float | None) -> Awaitable[bool]:
        """End at the first signal."""
        if seconds is None:
            watching: Deferred[bool] = Deferred()
            self._runtime.watched[self._container_id] = watching
            return watching
        ended = bool(self._signals)
        if ended:
            self._runtime.running.discard(self._container_id)
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

    def create(self, container_id: str, bundle: Path, lower: Path) -> Awaitable[int]:
        """Make a container."""
        self.made.add(container_id)
        self.lowers[container_id] = lower
        return self.script.act("create", FakeInit.pid)

    def start(self, container_id: str, bundle: Path) -> Awaitable[None]:
        """Have it run."""
        started = self.script.act("start")
        return started.addCallback(lambda _: self.running.add(container_id))

    def delete(self, container_id: str, bundle: Path) -> Awaitable[None]:
        """End and remove it."""
        if self.hanging and container_id in self.running:
            return fail(StillRunning(f"{container_id} hangs"))
        self.running.discard(container_id)
        self.made.discard(container_id)
        return self.script.act("delete")

    def execute(
        self, container_id: str, bundle: Path, argv: Sequence[str], timeout: float
    ) -> Awaitable[Any]:
        """Run nothing."""
        return self.script.act("execute")

    def known(self) -> list[str]:
        """Name what was made."""
        return sorted(self.made)

    def knows(self, container_id: str) -> bool:
        """Say whether it was made, and not deleted since."""
        return container_id in self.made

    def find_init(self, container_id: str, bundle: Path) -> FakeInit | None:
        """Take hold of the first process of what runs."""
        return FakeInit(self, container_id) if container_id in self.running else None


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
verifyObject(IInit, FakeInit(FakeRuntime(Script()), ""))
verifyObject(IGuests, FakeGuests(Script()))
