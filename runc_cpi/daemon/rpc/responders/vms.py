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
        states, kills = await self._vms.conditions(), await self._vms.oom_kills()
        return {
            "vms": [
                {
                    "vm_cid": vm.vm_cid,
                    "agent_id": vm.agent_id,
                    "stemcell_cid": vm.stemcell_cid,
                    "addresses": [str(each) for each in (*vm.addresses, *vm.blocks)],
                    "running": states[vm.vm_cid] is Condition.RUNNING,
                    "state": states[vm.vm_cid].value,
                    "oom_kills": kills.get(vm.vm_cid),
                    "created_at": vm.created_at,
                    "metadata": dict(vm.metadata),
                    "ports": [port.to_json() for port in vm.ports],
                    "vips": [str(address) for address in vm.vips],
                }
                for vm in self._vms.all()
                if vm.vm_cid in states
            ]
        }
