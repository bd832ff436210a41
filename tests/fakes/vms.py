"""Fakes of what VMs ask of the host: a runtime, first processes, files of guests."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, execute, fail, succeed
from twisted.python.failure import Failure
from zope.interface import implementer
from zope.interface.verify import verifyObject

from runc_cpi.daemon.base.outcome import Outcome
from runc_cpi.daemon.storage.bundle import Bundle
from runc_cpi.daemon.storage.container import ContainerState
from runc_cpi.daemon.vms.interfaces import (
    IFirstProcess,
    IGuests,
    IMeter,
    IOOMKiller,
    IRootDisks,
    IRuntime,
)
from runc_cpi.daemon.vms.usage import Usage
from runc_cpi.errors import CloudError, StillRunning
from tests.fakes.script import Script


@implementer(IFirstProcess)
class FakeFirstProcess:
    """A first process that ends at the first signal."""

    pid = 4242

    def __init__(self, runtime: FakeRuntime, vm_cid: str) -> None:
        self._runtime, self._vm_cid = runtime, vm_cid
        self._ended = False
        self._watching: Deferred[bool] | None = None

    def send(self, number: int) -> None:
        """Note the signal, and end."""
        self._ended = True
        self._runtime.end(self._vm_cid)
        self._runtime.script.done.append(f"signal {number}")
        self._tell(True)

    def ended_within(self, seconds: float | None) -> Awaitable[bool]:
        """Say whether there was a signal; without a limit the test may end it as well."""
        if seconds is None:
            self._watching = Deferred()
            self._runtime.watched[self._vm_cid] = self._watching
            return self._watching
        return succeed(self._ended)

    def exit_status(self) -> Awaitable[int | None]:
        """Return what the test has set."""
        return succeed(self._runtime.status)

    def close(self) -> None:
        """Let go."""
        self._tell(False)

    def _tell(self, ended: bool) -> None:
        if self._watching is not None and not self._watching.called:
            self._watching.callback(ended)


@implementer(IRuntime)
class FakeRuntime:
    """
    Containers that are no more than names.

    @ivar running: which run.
    @ivar waiting: which were made, and wait to be started.
    @ivar made: which were made, and are known until they are deleted.
    @ivar lowers: the file system below that each was made with.
    @ivar hanging: whether killing them is of no use.
    @ivar watched: what fires at the end of one that is watched.
    @ivar status: the wait status of those that end.
    """

    def __init__(self, script: Script) -> None:
        self.script = script
        self.running: set[str] = set()
        self.waiting: set[str] = set()
        self.made: set[str] = set()
        self.lowers: dict[str, Path] = {}
        self.hanging = False
        self.watched: dict[str, Deferred[bool]] = {}
        self.status: int | None = None

    def anticipate(self) -> None:
        """Do nothing: it is ready."""

    def create(self, bundle: Bundle, lower: Path) -> Awaitable[int]:
        """Make a container, whose first process waits to be started."""
        vm_cid = bundle.vm_cid
        if vm_cid in self.made:
            return fail(CloudError(f"there is a container {vm_cid}"))
        self.made.add(vm_cid)
        self.waiting.add(vm_cid)
        self.lowers[vm_cid] = lower
        return self.script.act("create", FakeFirstProcess.pid)

    def start(self, bundle: Bundle) -> Awaitable[None]:
        """Have it run."""
        vm_cid = bundle.vm_cid
        if vm_cid not in self.waiting:
            return fail(CloudError(f"no container {vm_cid} waits"))

        def run(_: None) -> None:
            self.waiting.discard(vm_cid)
            self.running.add(vm_cid)

        return self.script.act("start").addCallback(run)

    def end(self, vm_cid: str) -> None:
        """Have its first process end."""
        self.waiting.discard(vm_cid)
        self.running.discard(vm_cid)

    def kill(self, bundle: Bundle) -> Awaitable[None]:
        """End it."""
        vm_cid = bundle.vm_cid
        if self.hanging and vm_cid in self.running:
            return fail(StillRunning(f"{vm_cid} hangs"))
        self.end(vm_cid)
        return self.script.act("kill")

    async def delete(self, bundle: Bundle) -> None:
        """End and remove it."""
        await self.kill(bundle)
        self.made.discard(bundle.vm_cid)
        await self.script.act("delete")

    def execute(
        self, bundle: Bundle, argv: Sequence[str], timeout: float
    ) -> Awaitable[Outcome]:
        """Run nothing; a command succeeds where there is a VM, unless it is C{false}."""
        succeeds = bundle.vm_cid in self.running and argv[-1] != "false"
        outcome = Outcome(
            argv=tuple(argv),
            status=0 if succeeds else 1,
            signal=None,
            timed_out=False,
            stdout=b"",
            stderr=b"",
        )
        return self.script.act("execute", outcome)

    def known(self) -> list[str]:
        """Name what was made."""
        return sorted(self.made)

    def knows(self, vm_cid: str) -> bool:
        """Say whether it was made, and not deleted since."""
        return vm_cid in self.made

    def find_process(self, bundle: Bundle) -> FakeFirstProcess | None:
        """Return the first process of what runs, or waits to."""
        vm_cid = bundle.vm_cid
        alive = vm_cid in self.running | self.waiting
        return FakeFirstProcess(self, vm_cid) if alive else None


@implementer(IRootDisks)
class FakeRootDisks:
    """Root disks that bound nothing, each a directory where the real one is mounted."""

    def __init__(self, script: Script) -> None:
        self._script = script

    def make(self, bundle: Bundle, size: int) -> Awaitable[None]:
        """Make the directory."""
        bundle.layers.mkdir()
        return self._script.act(f"make a root disk of {size} MiB")

    def sync(self, bundle: Bundle) -> Awaitable[None]:
        """Note it, if the VM has one."""
        return self._act(bundle, "sync the root disk")

    def mount(self, bundle: Bundle) -> Awaitable[None]:
        """Note it, if the VM has one."""
        return self._act(bundle, "mount the root disk")

    def mount_afresh(self, bundle: Bundle) -> Awaitable[None]:
        """Note it, if the VM has one."""
        return self._act(bundle, "mount the root disk afresh")

    def _act(self, bundle: Bundle, name: str) -> Awaitable[None]:
        return self._script.act(name) if bundle.layers.exists() else succeed(None)


@implementer(IOOMKiller)
class FakeOOMKiller:
    """
    Kills by the word of a test.

    @ivar watched: what is called when something is killed, by the cgroup.
    @ivar kills: how many were killed, by the cgroup.
    """

    def __init__(self) -> None:
        self.watched: dict[str, Callable[[], None]] = {}
        self.kills: dict[str, int] = {}

    def watch(self, cgroup: str, happened: Callable[[], None]) -> None:
        """Note it."""
        self.watched.setdefault(cgroup, happened)
        self.kills.setdefault(cgroup, 0)

    def unwatch(self, cgroup: str) -> None:
        """Forget it."""
        self.watched.pop(cgroup, None)

    def count(self, cgroup: str) -> int | None:
        """Return what the test has set."""
        return self.kills.get(cgroup)

    def kill(self, cgroup: str) -> None:
        """Kill one process, and tell who watches."""
        self.kills[cgroup] = self.kills.get(cgroup, 0) + 1
        if cgroup in self.watched:
            self.watched[cgroup]()


USAGE = Usage(
    cpu_seconds=1.5,
    cpu_limit=None,
    memory=8 << 20,
    memory_limit=32 << 20,
    pids=1,
    disk=None,
    disk_limit=None,
    read=4096,
    written=8192,
    received=100,
    sent=200,
)


@implementer(IMeter)
class FakeMeter:
    """
    Counts by the word of a test.

    @ivar usages: what is used, by the cgroup.
    """

    def __init__(self) -> None:
        self.usages: dict[str, Usage] = {}

    def measure(self, states: Sequence[ContainerState]) -> Mapping[str, Usage]:
        """Return what the test has set."""
        return {
            state.vm_cid: self.usages[state.cgroup]
            for state in states
            if state.cgroup in self.usages
        }


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

    def run(
        self, vm_cid: str, work: Callable[[], Any], *, seconds: float | None = None
    ) -> Any:
        """Do it at once, on the real files."""
        return execute(work).addErrback(_as_ours, vm_cid)

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


def _as_ours(failure: Failure, vm_cid: str) -> Failure:
    """Have an error of the kernel be one of ours."""
    if isinstance(failure.value, OSError):
        raise CloudError(f"{vm_cid}: {failure.value}")
    return failure


verifyObject(IRuntime, FakeRuntime(Script()))
verifyObject(IFirstProcess, FakeFirstProcess(FakeRuntime(Script()), ""))
verifyObject(IGuests, FakeGuests(Script()))
verifyObject(IRootDisks, FakeRootDisks(Script()))
verifyObject(IOOMKiller, FakeOOMKiller())
verifyObject(IMeter, FakeMeter())
