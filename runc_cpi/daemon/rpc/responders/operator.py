"""Answers to commands that only the operator's tool sends."""

from __future__ import annotations

from typing import Any

from twisted.protocols import amp

from runc_cpi.daemon.reconcile.reconciler import Reconciler
from runc_cpi.daemon.rpc import commands


class OperatorResponders(amp.CommandLocator):
    """
    Answers the operator's tool, where no noun of BOSH's is asked for.

    @param reconciler: makes the host agree with the records.
    """

    def __init__(self, reconciler: Reconciler) -> None:
        self._reconciler = reconciler

    @commands.Repair.responder
    async def repair(self) -> dict[str, Any]:
        repairs = await self._reconciler.repair()
        return {"done": repairs.done, "problems": repairs.problems}

    @commands.Status.responder
    def status(self) -> dict[str, Any]:
        return {"status": self._reconciler.status()}
