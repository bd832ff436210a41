"""VMs of calls whose answer was lost: they make way when the call is made again."""

from __future__ import annotations

from runc_cpi.daemon.disks.disks import Disks
from runc_cpi.daemon.networks.forwarding import Forwarding
from runc_cpi.daemon.vms.new_vm import NewVM
from runc_cpi.daemon.vms.registry import Registry
from runc_cpi.daemon.vms.vm import VM


class LostAnswers:
    """
    Finds the VM of an earlier call that nobody was told of.

    If the daemon ends between the VM's record and its answer, the Director makes the same
    call again, and the VM has the addresses and ports that are asked for.
    """

    def __init__(self, registry: Registry, disks: Disks, forwarding: Forwarding) -> None:
        self._registry, self._disks, self._forwarding = registry, disks, forwarding

    def in_the_way_of(self, new: NewVM) -> list[str]:
        """Return the cids of VMs that have what is asked for, and are nobody's."""
        addresses = [n.address for n in new.networks if n.address is not None]
        holders = [
            *map(self._registry.at, addresses),
            *(self._holder(self._forwarding.vip_holder(vip)) for vip in addresses),
            *(self._holder(self._forwarding.publisher(port)) for port in new.ports),
        ]
        found = {vm.vm_cid for vm in holders if vm is not None}
        return sorted(vm_cid for vm_cid in found if self.is_nobodys(vm_cid, new))

    def _holder(self, vm_cid: str | None) -> VM | None:
        return None if vm_cid is None else self._registry.find(vm_cid)

    def is_nobodys(self, vm_cid: str, new: NewVM) -> bool:
        """
        Say whether nobody was told of a VM, as far as that can be seen.

        An C{agent_id} is of one VM alone.  Whoever is told of a VM sets its metadata first
        (the Director's CreateVmStep, and the CLI), and then attaches its disks.
        """
        vm = self._registry.find(vm_cid)
        return (
            vm is not None
            and vm.agent_id == new.agent_id
            and not vm.metadata
            and not self._disks.of(vm_cid)
        )
