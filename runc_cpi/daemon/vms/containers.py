"""The life of a VM's container: how it boots, is watched, halts and is taken down."""

from __future__ import annotations

from twisted.internet.threads import deferToThread

from runc_cpi.daemon.base.calls import spanned
from runc_cpi.daemon.base.cleanup import quietly
from runc_cpi.daemon.base.concurrency import side_by_side
from runc_cpi.daemon.disks.disks import Disks
from runc_cpi.daemon.networks.forwarding import Forwarding
from runc_cpi.daemon.networks.interfaces import Connections, INetworker
from runc_cpi.daemon.stemcells.stemcell import Stemcell
from runc_cpi.daemon.storage.bundle import Bundle
from runc_cpi.daemon.storage.container import ContainerState
from runc_cpi.daemon.storage.depot import Depot
from runc_cpi.daemon.vms import progress
from runc_cpi.daemon.vms.agents import Agents
from runc_cpi.daemon.vms.boots import Boots, Made
from runc_cpi.daemon.vms.interfaces import IGuests, IRootDisks, IRuntime
from runc_cpi.daemon.vms.oom_kills import OOMKills
from runc_cpi.daemon.vms.progress import Progress
from runc_cpi.daemon.vms.spec.policy import ContainerPolicy
from runc_cpi.daemon.vms.vm import VM
from runc_cpi.daemon.vms.watcher import Watcher

HALT_SECONDS = 10.0


class Containers:
    """
    The containers of all VMs.  The caller holds the lock of the VM that a call is for.

    @ivar boots: makes what VMs boot with, and their containers.
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
        self._networker, self._forwarding = networker, forwarding
        self._root_disks, self._disks = root_disks, disks
        self._watcher, self._oom_kills = watcher, oom_kills
        self.boots = Boots(
            policy=policy,
            depot=depot,
            runtime=runtime,
            networker=networker,
            forwarding=forwarding,
            guests=guests,
            root_disks=root_disks,
            disks=disks,
            find=self.find,
        )
        self.agents = Agents(guests, root_disks, disks, self.find)

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

    async def boot(self, vm: VM, stemcell: Stemcell) -> None:
        """
        Boot a VM that does not run, with its network and its disks.

        @raise CloudError: if the host fails.
        """
        await self.start(vm, await self.boots.make(vm, stemcell))

    async def start(self, vm: VM, made: Made) -> None:
        """
        Have a container run that was made, and watch it.

        @raise CloudError: if the host fails.
        """
        await self.boots.start(vm, made)
        if not self.watch(vm.vm_cid, is_new=True):
            self._watcher.ended(vm.vm_cid, None)  # before anybody could look

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
            init = self.boots.init_of(stemcell, vm.properties)
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
