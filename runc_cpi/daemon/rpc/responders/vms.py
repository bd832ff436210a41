"""Answers to commands about VMs."""

from __future__ import annotations

from typing import Any

from twisted.protocols import amp

from runc_cpi.daemon.base.calls import current
from runc_cpi.daemon.events.calls import set_place
from runc_cpi.daemon.rpc import commands
from runc_cpi.daemon.rpc.receipts import Receipts
from runc_cpi.daemon.vms.conditions import Condition
from runc_cpi.daemon.vms.new_vm import NewVM
from runc_cpi.daemon.vms.places import place_of_new
from runc_cpi.daemon.vms.vm import VM
from runc_cpi.daemon.vms.vms import VMs

Answer = dict[str, Any]


class VMResponders(amp.CommandLocator):
    """
    Answers commands about VMs.

    @param vms: all VMs of this host.
    @param receipts: those that the caller at the other end owes.
    """

    def __init__(self, vms: VMs, receipts: Receipts) -> None:
        self._vms, self._receipts = vms, receipts

    @commands.CreateVM.responder
    async def create_vm(self, *, confirms: bool = False, **arguments: Any) -> Answer:
        new = NewVM.parse(**arguments)
        call = current.get()
        if call is not None:
            set_place(call, place_of_new(new.env))
        vm = await self._vms.create(new)
        await self._receipts.made(vm.vm_cid, self._vms.delete, confirms)
        return {
            "vm_cid": vm.vm_cid,
            "networks": dict(vm.networks),
            "warnings": self._vms.warnings(new),
        }

    @commands.DeleteVM.responder
    async def delete_vm(self, vm_cid: str) -> Answer:
        await self._vms.delete(vm_cid)
        return {}

    @commands.HasVM.responder
    def has_vm(self, vm_cid: str) -> Answer:
        return {"exists": self._vms.exists(vm_cid)}

    @commands.RebootVM.responder
    async def reboot_vm(self, vm_cid: str) -> Answer:
        await self._vms.reboot(vm_cid)
        return {}

    @commands.SetVMMetadata.responder
    async def set_vm_metadata(self, vm_cid: str, metadata: Any) -> Answer:
        await self._vms.set_metadata(vm_cid, metadata)
        return {}

    @commands.ListVMs.responder
    async def list_vms(self) -> Answer:
        states, kills = await self._vms.conditions.all(), await self._vms.oom_kills()
        vms = {vm.vm_cid: vm for vm in self._vms.all()}
        return {
            "vms": [
                _told(vm_cid, vms.get(vm_cid), state, kills.get(vm_cid))
                for vm_cid, state in states.items()
                if vm_cid in vms or state is Condition.SET_ASIDE
            ]
        }


def _told(vm_cid: str, vm: VM | None, state: Condition, oom_kills: int | None) -> Answer:
    """
    Return what is told of a VM.

    @param vm: its record, or L{None} if that cannot be read.
    @param oom_kills: how many of its processes the kernel killed, or L{None}.
    """
    return {
        "vm_cid": vm_cid,
        "agent_id": vm.agent_id if vm else "",
        "stemcell_cid": vm.stemcell_cid if vm else "",
        "addresses": [str(each) for each in (*vm.addresses, *vm.blocks)] if vm else [],
        "running": state is Condition.RUNNING,
        "state": state.value,
        "end": vm.end.describe() if vm and vm.end else None,
        "oom_kills": oom_kills,
        "created_at": vm.created_at if vm else "",
        "metadata": dict(vm.metadata) if vm else {},
        "ports": [port.to_json() for port in vm.ports] if vm else [],
        "vips": [str(address) for address in vm.vips] if vm else [],
    }
