"""What calls act upon: stemcells, VMs, disks, networks, the reconciler, and the events."""

from __future__ import annotations

from dataclasses import dataclass

from runc_cpi.daemon.disks.disks import Disks
from runc_cpi.daemon.disks.snapshots import Snapshots
from runc_cpi.daemon.events.history import History
from runc_cpi.daemon.networks.managed import ManagedNetworks
from runc_cpi.daemon.reconcile.reconciler import Reconciler
from runc_cpi.daemon.stemcells.stemcells import Stemcells
from runc_cpi.daemon.vms.power import Power
from runc_cpi.daemon.vms.usages import Usages
from runc_cpi.daemon.vms.vms import VMs


@dataclass(frozen=True, kw_only=True)
class Subjects:
    """All that the responders of every connection share."""

    stemcells: Stemcells
    vms: VMs
    power: Power
    usages: Usages
    disks: Disks
    snapshots: Snapshots
    networks: ManagedNetworks
    reconciler: Reconciler
    history: History
