"""A VM's container: what it is made of, how it boots and how it is taken down."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from twisted.internet.threads import deferToThread
from twisted.logger import Logger

from runc_cpi.daemon.base.concurrency import side_by_side
from runc_cpi.daemon.disks.disk import BootParts
from runc_cpi.daemon.disks.disks import Disks
from runc_cpi.daemon.networks.interfaces import INetworker
from runc_cpi.daemon.networks.settings import name_servers
from runc_cpi.daemon.stemcells.stemcell import Stemcell
from runc_cpi.daemon.storage.container import ContainerState
from runc_cpi.daemon.storage.depot import Depot
from runc_cpi.daemon.storage.tree import Tree
from runc_cpi.daemon.vms import progress
from runc_cpi.daemon.vms.guest_files import (
    SETTINGS,
    agent_config,
    forget_managed_disk,
    guest_files,
    hostname,
    make_mount_points,
    managed_disk,
    settings_file,
    told_disks,
    write_upper,
)
from runc_cpi.daemon.vms.interfaces import IGuests, IRuntime
from runc_cpi.daemon.vms.progress import Progress
from runc_cpi.daemon.vms.properties import VMProperties
from runc_cpi.daemon.vms.spec import BOOTS, WRITABLE_PATHS, limits, runtime_spec
from runc_cpi.daemon.vms.vm import VM
from runc_cpi.daemon.vms.watcher import Watcher
from runc_cpi.errors import InvalidArgument

GRACE = 10.0
SYSTEMD_HALT = 37  # SIGRTMIN+3, what systemd as init takes for "halt" (systemd(1))
# Services first, then what they left running, as an init does before it halts.
RUNIT_HALT = (
    "/bin/sh",
    "-c",
    "sv -w 7 force-stop /etc/service/*; kill -TERM -1; "
    "for i in 1 2 3 4 5 6 7 8 9; do kill -0 -1 2>/dev/null || break; sleep 0.3; done",
)
STALE = "var/vcap/data/sys"
PID_FILES = "run"


@dataclass(frozen=True, kw_only=True)
class ContainerPolicy:
    """
    What the VMs of this host may have.

    @ivar capabilities: what is granted to each.
    @ivar all_capabilities: what is granted to those that are to have all.
    @ivar cgroup_parent: below which path their cgroups are.
    @ivar privileged: whether the host's kernel tunables are theirs to change.
    @ivar pids: how many processes and threads each may have that does not say; L{None}
        if the kernel bounds none.
    @ivar open_files: how many files each process of a VM may have open.
    @ivar swap_accounting: whether memory and swap can be bounded together.
    """

    capabilities: Sequence[str]
    all_capabilities: Sequence[str]
    cgroup_parent: str
    pids: int | None
    open_files: int
    swap_accounting: bool
    privileged: bool


def init_of(stemcell: Stemcell, properties: VMProperties) -> str:
    """
    Choose what boots a VM.

    @raise InvalidArgument: if there is nothing that could.
    """
    init = properties.init or stemcell.features.init
    if init is None:
        raise InvalidArgument(
            f"{stemcell.cid} has neither runit nor systemd that could boot it; "
            "cloud_properties.init could name one"
        )
    return init


@dataclass(frozen=True, kw_only=True)
class _Left:
    """
    What a VM left when it ran last.

    @ivar mounted: the disk that was on its /var/vcap/store, if any.
    @ivar hostname: the name that its agent gave it, or its own cid.
    """

    mounted: str | None
    hostname: str


class Containers:
    """The containers of all VMs; whoever calls sees to it that calls for one VM queue."""

    log = Logger()

    def __init__(
        self,
        *,
        policy: ContainerPolicy,
        depot: Depot,
        runtime: IRuntime,
        networker: INetworker,
        guests: IGuests,
        disks: Disks,
        watcher: Watcher,
    ) -> None:
        self._policy, self._depot, self._runtime = policy, depot, runtime
        self._networker, self._guests, self._disks = networker, guests, disks
        self._watcher = watcher

    def path(self, vm_cid: str) -> Path:
        """Return the directory of a VM, which is its container's bundle."""
        return self._depot.vms / vm_cid

    async def traces(self) -> set[str]:
        """Name all that there is a container, a cgroup or an interface of."""
        return {*self._runtime.known(), *await self._networker.connected()}

    async def connected(self) -> Collection[str]:
        """Name the VMs that have an interface."""
        return await self._networker.connected()

    def is_missed(self, vm_cid: str) -> bool:
        """Say whether a VM is down though it did not end by itself."""
        # A reboot of the host takes what the runtime knows with it.
        was_lost = self.find(vm_cid).pid is None and not self._runtime.knows(vm_cid)
        return was_lost or self.was_interrupted(vm_cid)

    def watch(self, vm_cid: str) -> bool:
        """Have it noticed when a VM ends; say whether it runs at all."""
        init = self._runtime.find_init(vm_cid, self.path(vm_cid))
        if init is None:
            return False
        self._watcher.watch(vm_cid, init)
        return True

    async def reconnect(self, vm: VM) -> bool:
        """Give a running VM its interface back; say whether it had lost it."""
        pid = self.find(vm.vm_cid).pid
        if pid is None or vm.vm_cid in await self._networker.connected():
            return False
        await self._networker.connect(vm.vm_cid, pid, vm.nics)
        return True

    async def guard(self, vm: VM) -> bool:
        """Have a VM send from its own addresses alone; say whether it did not."""
        return await self._networker.guard(vm.vm_cid, vm.nics)

    def find(self, vm_cid: str) -> ContainerState:
        """Describe a VM's container as it is now."""
        bundle = self.path(vm_cid)
        init = self._runtime.find_init(vm_cid, bundle)
        pid = None
        if init is not None:
            pid = init.pid
            init.close()
        cgroup = f"{self._policy.cgroup_parent}/{vm_cid}"
        return ContainerState(bundle=bundle, pid=pid, cgroup=cgroup)

    async def furnish(self, vm: VM, stemcell: Stemcell) -> None:
        """Make the directory of a new VM, and the files it boots with."""
        await deferToThread(self._furnish, vm, stemcell)
        size = vm.properties.ephemeral_disk_size
        if size is not None:
            await self._disks.make_ephemeral(self.path(vm.vm_cid), size)

    def _furnish(self, vm: VM, stemcell: Stemcell) -> None:
        path = self.path(vm.vm_cid)
        path.mkdir(mode=0o700)
        for name in ("rootfs", "work"):
            (path / name).mkdir(mode=0o700)
        for name in ("upper", "data"):
            # These show in the VM, as "/" and "/var/vcap/data".
            (path / name).mkdir()
            (path / name).chmod(0o755)
        files = guest_files(
            vm_cid=vm.vm_cid,
            address=vm.addresses[0],
            dns=name_servers(vm.networks),
            features=stemcell.features,
        )
        files.append(settings_file(vm.settings({})))
        files += agent_config(stemcell.rootfs, binds=self._disks.agent_binds)
        write_upper(files, stemcell.rootfs, path / "upper")

    async def boot(self, vm: VM, stemcell: Stemcell) -> None:
        """
        Boot a VM that does not run, with its network and its disks.

        @raise CloudError: if the host fails.
        """
        vm_cid, bundle = vm.vm_cid, self.path(vm.vm_cid)
        left = await self._guests.run(vm_cid, partial(self._take_stock, vm_cid, stemcell))
        parts = await self._disks.boot(vm_cid, self.find(vm_cid))
        await deferToThread(self._write_bundle, vm, stemcell, parts, left.hostname)
        pid = await self._runtime.create(vm_cid, bundle, stemcell.rootfs)
        # The container's first process waits to be started: all else comes before it.
        await self._networker.connect(vm_cid, pid, vm.nics)
        await self._disks.booted(vm_cid, self.find(vm_cid), left.mounted)
        writable = () if self._policy.privileged else WRITABLE_PATHS
        await self._guests.prepare(vm_cid, pid, STALE, PID_FILES, writable)
        await self._runtime.start(vm_cid, bundle)
        if not self.watch(vm_cid):
            self._watcher.ended(vm_cid, None)  # before anybody could look

    async def reboot(self, vm: VM, stemcell: Stemcell) -> None:
        """
        Stop a VM if it runs, asking it first, and boot it on the same file system.

        If that is cut off, or fails, it L{was_interrupted}.

        @raise CloudError: if it does not stop, or the host fails.
        """
        bundle = self.path(vm.vm_cid)
        if await deferToThread(progress.read, bundle) is not Progress.BOOTING:
            await deferToThread(progress.write, bundle, Progress.HALTING)
            await self._ask_to_halt(vm, stemcell)
        await self.take_down(vm.vm_cid)
        await deferToThread(progress.write, bundle, Progress.BOOTING)
        try:
            await self.boot(vm, stemcell)
        except BaseException:
            await self._give_up(vm.vm_cid)
            raise
        await deferToThread(progress.clear, bundle)

    def was_interrupted(self, vm_cid: str) -> bool:
        """Say whether a reboot was begun, and the VM is not known to run since."""
        return progress.read(self.path(vm_cid)) is not None

    async def _give_up(self, vm_cid: str) -> None:
        """Take down what may wait to be started; that this fails is only logged."""
        try:
            await self.take_down(vm_cid)
        except Exception:
            self.log.failure("cannot take {vm_cid} down", vm_cid=vm_cid)

    def _take_stock(self, vm_cid: str, stemcell: Stemcell) -> _Left:
        """
        See what a VM left when it ran last, and put right what would harm its boot.

        The agent does not mount its disk again when it starts, and does not start when
        the disk it last mounted is gone.  It sets the host name once and for all.
        """
        upper = self.path(vm_cid) / "upper"
        make_mount_points(stemcell.rootfs, upper)
        with Tree.at(upper) as tree:
            disk_cid = managed_disk(tree)
            if disk_cid is not None and disk_cid not in self._cids(vm_cid):
                forget_managed_disk(tree)
            return _Left(mounted=disk_cid, hostname=hostname(tree) or vm_cid)

    def _cids(self, vm_cid: str) -> set[str]:
        return {disk.disk_cid for disk in self._disks.of(vm_cid)}

    def _write_bundle(
        self, vm: VM, stemcell: Stemcell, parts: BootParts, hostname: str
    ) -> None:
        path = self.path(vm.vm_cid)
        properties = vm.properties
        bounded = any(mount["destination"] == "/var/vcap/data" for mount in parts.mounts)
        policy, every = self._policy, properties.all_capabilities
        spec = runtime_spec(
            hostname=hostname,
            boot=BOOTS[init_of(stemcell, properties)],
            # A bounded disk of its own would be mounted there instead.
            binds={"/var/vcap/data": str(path / "data")} if not bounded else {},
            cgroup=f"{self._policy.cgroup_parent}/{vm.vm_cid}",
            capabilities=policy.all_capabilities if every else policy.capabilities,
            resources=limits(
                cpu=properties.cpu,
                ram=properties.ram,
                pids=policy.pids and (properties.pids or policy.pids),
                swap_accounting=self._policy.swap_accounting,
            ),
            open_files=self._policy.open_files,
            disks=parts,
            privileged=policy.privileged,
            guarded=every and not policy.privileged,
        )
        (path / "config.json").write_text(json.dumps(spec), "utf-8")

    async def _ask_to_halt(self, vm: VM, stemcell: Stemcell) -> None:
        """Let a VM's services end, for a bounded time; what stays is killed later."""
        path = self.path(vm.vm_cid)
        self._watcher.unwatch(vm.vm_cid)
        init = self._runtime.find_init(vm.vm_cid, path)
        if init is None:
            return
        try:
            if init_of(stemcell, vm.properties) == "systemd":
                init.send(SYSTEMD_HALT)
                await init.ended_within(GRACE)
            else:
                await self._runtime.execute(vm.vm_cid, path, RUNIT_HALT, GRACE)
        finally:
            init.close()

    async def take_down(self, vm_cid: str) -> None:
        """
        End a container at once and remove it and its interface, whatever there is.

        @raise StillRunning: if a process of it does not end.
        """
        path = self.path(vm_cid)
        self._watcher.unwatch(vm_cid)
        if not path.exists():
            return
        await side_by_side(
            self._runtime.delete(vm_cid, path), self._networker.disconnect(vm_cid)
        )
        await self._disks.halted(self.find(vm_cid))

    async def remind_agent(self, vm: VM) -> bool:
        """Have the agent's settings file name the right disks; say whether it did not."""
        upper = self.path(vm.vm_cid) / "upper"
        told = await self._guests.run(vm.vm_cid, partial(_told, upper))
        if told == self._disks.hints(vm.vm_cid):
            return False
        await self.tell_agent(vm)
        return True

    async def tell_agent(self, vm: VM, *, but: str = "") -> None:
        """
        Write the agent's settings file anew, in one step for whoever reads it.

        @param but: a disk not to name in it any more.
        """
        hints = self._disks.hints(vm.vm_cid)
        hints.pop(but, None)
        file = settings_file(vm.settings(hints))
        container = self.find(vm.vm_cid)
        if container.pid is None:
            upper = self.path(vm.vm_cid) / "upper"
            await self._guests.run(vm.vm_cid, partial(_write_into, upper, file.content))
        else:
            await self._guests.write(vm.vm_cid, container.pid, SETTINGS, file.content)


def _told(upper: Path) -> Any:
    with Tree.at(upper) as tree:
        return told_disks(tree)


def _write_into(upper: Path, content: str) -> None:
    with Tree.at(upper) as tree:
        tree.write(SETTINGS, content)
