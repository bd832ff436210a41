"""Makes what each VM has on the host agree with its record."""

from __future__ import annotations

from runc_cpi.daemon.base.concurrency import side_by_side
from runc_cpi.daemon.base.locks import Locks
from runc_cpi.daemon.base.repairs import Repairs
from runc_cpi.daemon.disks.disks import Disks
from runc_cpi.daemon.networks.interfaces import Connections
from runc_cpi.daemon.storage.container import ContainerState
from runc_cpi.daemon.vms.containers import Containers
from runc_cpi.daemon.vms.registry import Registry
from runc_cpi.daemon.vms.vm import VM


class Agreement:
    """
    Gives VMs what they should have: interface, firewall, disks, agent settings.

    A VM that is down stays down here; it gets the rest when it boots.
    """

    def __init__(
        self, *, registry: Registry, containers: Containers, disks: Disks, locks: Locks
    ) -> None:
        self._registry, self._containers = registry, containers
        self._disks, self._locks = disks, locks

    async def make_all_agree(self, repairs: Repairs) -> None:
        """Do so for all VMs, side by side: one that hangs holds up no other."""
        connected = await self._containers.connected()
        vm_cids = self._disks.owners() | {vm.vm_cid for vm in self._registry.all()}
        await side_by_side(
            *(self._make_agree(vm_cid, connected, repairs) for vm_cid in sorted(vm_cids))
        )

    async def _make_agree(
        self, vm_cid: str, connected: Connections, repairs: Repairs
    ) -> None:
        async with self._locks.vm(vm_cid):
            with repairs.attempt(vm_cid):
                container = self._containers.find(vm_cid)
                if not self._registry.path(vm_cid).exists():
                    await self._disks.release(vm_cid, container)
                    repairs.did(f"took its disks from {vm_cid}, which is gone")
                elif self._registry.exists(vm_cid):
                    vm = self._registry.get(vm_cid)
                    await self._repair(vm, container, connected, repairs)

    async def _repair(
        self,
        vm: VM,
        container: ContainerState,
        connected: Connections,
        repairs: Repairs,
    ) -> None:
        """
        Put right what a VM has, and watch it if it runs.

        @param connected: the bridges that each VM was connected to.
        """
        runs = container.pid is not None
        if runs and not self._containers.was_interrupted(vm.vm_cid):
            if not vm.is_connected(connected) and await self._containers.reconnect(vm):
                repairs.did(f"connected {vm.vm_cid} again")
            elif await self._containers.guard(vm):
                repairs.did(f"bound {vm.vm_cid} to its own addresses")
            await self._disks.restore(vm.vm_cid, container, repairs)
            self._containers.watch(vm.vm_cid)
        if await self._containers.agents.correct(vm):
            repairs.did(f"told the agent of {vm.vm_cid} which disks it has")
