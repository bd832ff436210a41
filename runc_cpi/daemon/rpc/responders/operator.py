"""Answers to commands that only the operator's tool sends."""

from __future__ import annotations

from typing import Any

from twisted.protocols import amp

from runc_cpi.daemon.reconcile.reconciler import Reconciler
from runc_cpi.daemon.rpc import commands
from runc_cpi.daemon.vms.power import Power
from runc_cpi.daemon.vms.usages import Usages

Answer = dict[str, Any]


class OperatorResponders(amp.CommandLocator):
    """
    Answers the operator's tool, where no call of BOSH's is meant.

    @param reconciler: makes the host agree with the records.
    @param power: starts and stops VMs.
    @param usages: what VMs use.
    """

    def __init__(self, reconciler: Reconciler, power: Power, usages: Usages) -> None:
        self._reconciler, self._power, self._usages = reconciler, power, usages

    @commands.Repair.responder
    async def repair(self) -> Answer:
        repairs = await self._reconciler.repair()
        return {"done": repairs.done, "problems": repairs.problems}

    @commands.Status.responder
    def status(self) -> Answer:
        return {"status": self._reconciler.status()}

    @commands.StopVM.responder
    async def stop_vm(self, vm_cid: str) -> Answer:
        await self._power.stop(vm_cid)
        return {}

    @commands.StartVM.responder
    async def start_vm(self, vm_cid: str) -> Answer:
        await self._power.start(vm_cid)
        return {}

    @commands.MeasureVMs.responder
    async def measure_vms(self) -> Answer:
        usages = await self._usages.all()
        return {"usages": {vm_cid: usage.to_json() for vm_cid, usage in usages.items()}}
