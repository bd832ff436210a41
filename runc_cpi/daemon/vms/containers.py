"""The life of a VM's container: how it boots, is watched, halts and is taken down."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import partial

from twisted.internet.threads import deferToThread

from runc_cpi.daemon.base.calls import span, spanned
from runc_cpi.daemon.base.cleanup import quietly
from runc_cpi.daemon.base.concurrency import side_by_side
from runc_cpi.daemon.disks.disk import BootParts
from runc_cpi.daemon.disks.disks import Disks
from runc_cpi.daemon.networks.forwarding import Forwarding
from runc_cpi.daemon.networks.interfaces import Connections, INetworker
from runc_cpi.daemon.stemcells.stemcell import Stemcell
from runc_cpi.daemon.storage.bundle import Bundle
from runc_cpi.daemon.storage.container import ContainerState
from runc_cpi.daemon.storage.depot import Depot
from runc_cpi.daemon.vms import progress
from runc_cpi.daemon.vms.agents import Agents
from runc_cpi.daemon.vms.files import furnishing
from runc_cpi.daemon.vms.files.last_run import LastRun, look_back
from runc_cpi.daemon.vms.inits import Init, init_of
from runc_cpi.daemon.vms.interfaces import IGuests, IRootDisks, IRuntime
from runc_cpi.daemon.vms.lxcfs import Lxcfs
from runc_cpi.daemon.vms.oom_kills import OOMKills
from runc_cpi.daemon.vms.progress import Progress
from runc_cpi.daemon.vms.properties import VMProperties
from runc_cpi.daemon.vms.spec.policy import ContainerPolicy
from runc_cpi.daemon.vms.vm import VM
from runc_cpi.daemon.vms.watcher import Watcher

HALT_SECONDS = 10.0
# What a machine has in memory, and loses when it boots.
STALE = "var/vcap/data/sys"
PID_FILES = "run"


class Containers:
    """
    The containers of all VMs.  The caller holds the lock of the VM that a call is for.

    @ivar agents: tells the agents of VMs which disks there are.
    """

    def __init__(
        self,
        *,
        policy: ContainerPolicy,
        depot: Depot,
        runtime: IRuntime,
        networker: INetworker,
        forwarding: Forwarding,
        guests: IGuests,
        root_disks: IRootDisks,
        disks: Disks,
        watcher: Watcher,
        oom_kills: OOMKills,
    ) -> None:
        self._policy, self._depot, self._runtime = policy, depot, runtime
        self._networker, self._guests, self._disks = networker, guests, disks
        self._forwarding = forwarding
        self._root_disks, self._watcher = root_disks, watcher
        self._oom_kills = oom_kills
        self._lxcfs = Lxcfs(guests, policy.lxcfs)
        self.agents = Agents(guests, root_disks, disks, self.find)

    async def look_for_lxcfs(self) -> None:
        """Say in the log whether there is lxcfs."""
        await self._lxcfs.covers()

    def _bundle(self, vm_cid: str) -> Bundle:
        return Bundle(self._depot.vms / vm_cid)

    def find(self, vm_cid: str) -> ContainerState:
        """Return what a VM's container is now."""
        bundle = self._bundle(vm_cid)
        process, pid = self._runtime.find_process(bundle), None
        if process is not None:
            pid = process.pid
            process.close()
        cgroup = self._policy.cgroup_of(vm_cid)
        return ContainerState(bundle=bundle, pid=pid, cgroup=cgroup)

    async def traces(self) -> set[str]:
        """Return the names of all that has a container, a cgroup or an interface."""
        return {*self._runtime.known(), *await self._networker.connected()}

    async def connected(self) -> Connections:
        """Return the bridges that each VM is connected to that has an interface."""
        return await self._networker.connected()

    def was_taken_down(self, vm_cid: str) -> bool:
        """Say whether a VM is down though it did not end by itself."""
        # A reboot of the host makes the runtime forget all containers.
        was_lost = self.find(vm_cid).pid is None and not self._runtime.knows(vm_cid)
        return was_lost or self.was_interrupted(vm_cid)

    def was_interrupted(self, vm_cid: str) -> bool:
        """Say whether a reboot was begun, and the VM is not known to run since."""
        return progress.read(self._bundle(vm_cid)) is not None

    def watch(self, vm_cid: str, *, is_new: bool = False) -> bool:
        """Watch a VM, found or new, so that its end is noticed; return whether it runs."""
        process = self._runtime.find_process(self._bundle(vm_cid))
        if process is None:
            return False
        self._watcher.watch(vm_cid, process)
        self._oom_kills.watch(vm_cid, is_new=is_new)
        return True

    async def reconnect(self, vm: VM) -> bool:
        """
        Give a running VM its interfaces back.

        @return: whether it had lost one, or was connected to another network.
        @raise CloudError: if the host fails.
        """
        pid = self.find(vm.vm_cid).pid
        connected = await self._networker.connected()
        if pid is None or vm.is_connected(connected):
            return False
        await self._networker.connect(vm.vm_cid, pid, vm.nics)
        await self._forwarding.connected(vm.vm_cid)
        return True

    async def guard(self, vm: VM) -> bool:
        """
        Have a VM send from its own addresses alone.

        @return: whether it could send from others.
        @raise CloudError: if the host fails.
        """
        return await self._networker.guard(vm.vm_cid, vm.nics)

    def init_of(self, stemcell: Stemcell, properties: VMProperties) -> Init:
        """
        Return what boots a VM.

        @raise InvalidArgument: if nothing in the stemcell can boot it here.
        """
        legacy = self._policy.legacy_cgroups
        return init_of(stemcell, properties.init, legacy_cgroups=legacy)

    @spanned("files")
    async def furnish(self, vm: VM, stemcell: Stemcell) -> Sequence[str]:
        """
        Make the directory of a new VM, and the files it boots with, whose names it returns.

        @raise NoDiskSpace: if there is no room for its root disk or its ephemeral disk.
        @raise CloudError: if the host fails otherwise.
        @raise OSError: if a file cannot be written.
        """
        bundle, own_ids = self._bundle(vm.vm_cid), self._policy.own_ids
        binds = self._disks.agent_binds or own_ids is not None
        await deferToThread(furnishing.make_directory, bundle, own_ids=own_ids)
        root_size = vm.properties.root_disk_size or self._policy.root_disk_size
        if root_size is not None:
            await self._root_disks.make(bundle, root_size)
        furnish = partial(furnishing.furnish, bundle, vm, stemcell, agent_binds=binds)
        furnished = await deferToThread(furnish)
        size = vm.properties.ephemeral_disk_size
        if size is not None:
            await self._disks.make_ephemeral(bundle.path, size)
        return furnished

    async def boot(self, vm: VM, stemcell: Stemcell) -> None:
        """
        Boot a VM that does not run, with its network and its disks.

        @raise CloudError: if the host fails.
        """
        vm_cid, bundle = vm.vm_cid, self._bundle(vm.vm_cid)
        last = await self._look_back(bundle, stemcell)
        disks = await self._disks.boot(vm_cid, self.find(vm_cid))
        hostname = last.hostname or vm_cid
        covers = await self._lxcfs.covers()
        with span("specification"):
            await deferToThread(self._write_config, vm, stemcell, hostname, disks, covers)
        pid = await self._runtime.create(bundle, stemcell.rootfs)
        # The container's first process waits to be started: all else comes before it.
        await self._networker.connect(vm_cid, pid, vm.nics)
        await self._forwarding.connected(vm_cid)
        await self._disks.booted(vm_cid, self.find(vm_cid), last.mounted)
        writable = self._policy.writable_paths(bundle)
        await self._guests.prepare(vm_cid, pid, STALE, PID_FILES, writable)
        await self._runtime.start(bundle)
        if not self.watch(vm_cid, is_new=True):
            self._watcher.ended(vm_cid, None)  # before anybody could look

    @spanned("last run")
    async def _look_back(self, bundle: Bundle, stemcell: Stemcell) -> LastRun:
        disk_cids = {disk.disk_cid for disk in self._disks.of(bundle.vm_cid)}
        looking = partial(
            look_back, stemcell.rootfs, bundle.upper, disk_cids, bundle.root_id
        )
        return await self._guests.run(bundle.vm_cid, looking)

    def _write_config(
        self,
        vm: VM,
        stemcell: Stemcell,
        hostname: str,
        disks: BootParts,
        covers: Mapping[str, str],
    ) -> None:
        bundle = self._bundle(vm.vm_cid)
        properties = vm.properties
        init = self.init_of(stemcell, properties)
        spec = self._policy.specification(bundle, properties, init, hostname, disks, covers)
        bundle.config.write_text(json.dumps(spec), "utf-8")

    async def reboot(self, vm: VM, stemcell: Stemcell) -> None:
        """
        Stop a VM if it runs, asking it first, and boot it on the same file system.

        If that is cut off, or fails, it L{was_interrupted}.

        @raise CloudError: if it does not stop, or the host fails.
        """
        bundle = self._bundle(vm.vm_cid)
        if await deferToThread(progress.read, bundle) is not Progress.BOOTING:
            await deferToThread(progress.write, bundle, Progress.HALTING)
            await self._ask_to_halt(vm, stemcell)
        await self.take_down(vm.vm_cid)
        await deferToThread(progress.write, bundle, Progress.BOOTING)
        await self._root_disks.mount_afresh(bundle)
        try:
            await self.boot(vm, stemcell)
        except BaseException:
            await quietly(self.take_down, vm.vm_cid)
            raise
        await deferToThread(progress.clear, bundle)

    async def halt(self, vm: VM, stemcell: Stemcell) -> None:
        """
        Stop a VM if it runs, asking it first.

        @raise CloudError: if it does not stop, or the host fails.
        """
        was_running = self.find(vm.vm_cid).pid is not None
        try:
            await self._ask_to_halt(vm, stemcell)
            await self.take_down(vm.vm_cid)
        except BaseException:
            if not self.watch(vm.vm_cid) and was_running:
                # It is down without having been stopped, and nobody else would see that.
                self._watcher.ended(vm.vm_cid, None)
            raise

    @spanned("halt")
    async def _ask_to_halt(self, vm: VM, stemcell: Stemcell) -> None:
        """Let a VM's services end, for a bounded time; what stays is killed later."""
        bundle = self._bundle(vm.vm_cid)
        self._watcher.unwatch(vm.vm_cid)
        process = self._runtime.find_process(bundle)
        if process is None:
            return
        try:
            init = self.init_of(stemcell, vm.properties)
            if init.halt_signal is not None:
                process.send(init.halt_signal)
                await process.ended_within(HALT_SECONDS)
            else:
                await self._runtime.execute(bundle, init.halt_command, HALT_SECONDS)
        finally:
            process.close()

    async def kill(self, vm_cid: str) -> None:
        """End all processes of a VM at once, or raise L{StillRunning}; the rest stays."""
        self._watcher.unwatch(vm_cid)
        # At once: the last look counts what the kernel killed, and not what is killed here.
        await side_by_side(
            self._oom_kills.unwatch(vm_cid), self._runtime.kill(self._bundle(vm_cid))
        )

    async def take_down(self, vm_cid: str) -> None:
        """
        End a container at once and remove it and its interface, whatever there is.

        @raise StillRunning: if a process of it does not end.
        @raise CloudError: if the host fails.
        """
        bundle = self._bundle(vm_cid)
        self._watcher.unwatch(vm_cid)
        if not bundle.path.exists():
            return
        await self._oom_kills.unwatch(vm_cid)
        await side_by_side(self._runtime.delete(bundle), self._networker.disconnect(vm_cid))
        await self._disks.halted(self.find(vm_cid))
