"""What a start of the daemon does, and what C{repair} does while it runs."""

from __future__ import annotations

from runc_cpi.daemon.base.concurrency import side_by_side
from runc_cpi.daemon.base.locks import Locks
from runc_cpi.daemon.base.repairs import Repairs
from runc_cpi.daemon.disks.disks import Disks
from runc_cpi.daemon.disks.snapshots import Snapshots
from runc_cpi.daemon.networks.forwarding import Forwarding
from runc_cpi.daemon.networks.managed import ManagedNetworks
from runc_cpi.daemon.networks.networks import Networks
from runc_cpi.daemon.reconcile.agreement import Agreement
from runc_cpi.daemon.reconcile.down_vms import DownVMs
from runc_cpi.daemon.reconcile.leftovers import Leftovers
from runc_cpi.daemon.stemcells.stemcells import Stemcells
from runc_cpi.daemon.storage.scratch import Scratch
from runc_cpi.daemon.vms.registry import Registry


class Reconciler:
    """
    Makes the host agree with the records, after a crash of the daemon or a reboot.

    Each step goes on with the rest if one VM, disk or record makes trouble.
    """

    def __init__(
        self,
        *,
        registry: Registry,
        stemcells: Stemcells,
        disks: Disks,
        snapshots: Snapshots,
        managed_networks: ManagedNetworks,
        networks: Networks,
        scratch: Scratch,
        locks: Locks,
        agreement: Agreement,
        down_vms: DownVMs,
        leftovers: Leftovers,
        forwarding: Forwarding,
    ) -> None:
        self._registry, self._stemcells = registry, stemcells
        self._disks, self._snapshots = disks, snapshots
        self._managed_networks = managed_networks
        self._networks, self._scratch, self._locks = networks, scratch, locks
        self._agreement, self._down_vms = agreement, down_vms
        self._leftovers, self._forwarding = leftovers, forwarding

    def status(self) -> dict[str, int]:
        """
        Count what there is, by the names of its kinds.

        C{removing} counts what was deleted and still takes room.
        """
        return {
            "stemcells": len(self._stemcells.all()),
            "vms": len(self._registry.all()),
            "disks": len(self._disks.all()),
            "snapshots": len(self._snapshots.all()),
            "networks": len(self._managed_networks.all()),
            "removing": self._scratch.rubbish(),
        }

    async def load(self) -> Repairs:
        """
        Read all records, and do what has to be done before the first call.

        @return: what was done, for L{bring_back} to go on with.
        """
        repairs = Repairs()
        self._stemcells.load(repairs)
        self._disks.load(repairs)
        self._snapshots.load(repairs)
        # VMs are in them, so they come first.
        self._managed_networks.load(repairs)
        await self._registry.load(repairs)
        await self._reconcile(repairs)
        return repairs

    async def repair(self) -> Repairs:
        """Make the host agree with the records, while calls go on."""
        repairs = Repairs()
        await self._reconcile(repairs)
        await self.bring_back(repairs)
        return repairs

    async def bring_back(self, repairs: Repairs) -> None:
        """Do what takes long: boot the VMs that are down, and empty C{scratch/}."""
        await side_by_side(
            self._scratch.sweep(repairs), self._down_vms.bring_all_back(repairs)
        )
        repairs.summarize()

    async def _reconcile(self, repairs: Repairs) -> None:
        await self._stemcells.sweep(repairs)
        await self._leftovers.remove_incomplete(repairs)
        await self._settle(repairs)
        await self._agreement.make_all_agree(repairs)
        # VMs may have left a bridge that a change of the configuration makes needless.
        await self._settle(repairs)
        await self._forwarding.repair(repairs)
        with repairs.attempt("loop devices that no VM needs"):
            await self._disks.sweep(self._locks.vm.is_held, repairs)

    async def _settle(self, repairs: Repairs) -> None:
        with repairs.attempt("bridges"):
            for reason in (await self._networks.settle(afresh=True)).values():
                repairs.failed(reason)
