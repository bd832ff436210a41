"""What the daemon says there is, as plain values."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from runc_cpi import wire
from runc_cpi.cpi.client import Client
from tests.harness.daemon import Daemon


@dataclass(frozen=True)
class VMFacts:
    """A VM."""

    stemcell: str
    running: bool = True
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class DiskFacts:
    """A disk, and the VM that has it."""

    size: int
    vm: str | None = None
    in_settings: bool = False
    properties: Mapping[str, Any] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class World:
    """
    All that calls made, by cids.

    @ivar stemcells: their cids alone, in a mapping as the rest is. @ivar snapshots: the
    disks they were taken of. @ivar networks: the bridges of the managed ones.
    """

    stemcells: Mapping[str, None] = field(default_factory=dict)
    vms: Mapping[str, VMFacts] = field(default_factory=dict)
    disks: Mapping[str, DiskFacts] = field(default_factory=dict)
    snapshots: Mapping[str, str] = field(default_factory=dict)
    networks: Mapping[str, str] = field(default_factory=dict)

    @property
    def cids(self) -> set[str]:
        """Return all cids."""
        made = (self.stemcells, self.vms, self.disks, self.snapshots, self.networks)
        return {cid for kind in made for cid in kind}

    def disks_of(self, vm_cid: str) -> dict[str, DiskFacts]:
        """Return the disks of a VM."""
        return {cid: disk for cid, disk in self.disks.items() if disk.vm == vm_cid}


def observe(daemon: Daemon) -> World:
    """Ask a daemon for all that it has; snapshots are looked for on the disk."""
    with daemon.connection() as client:
        vms = _ask(client, "ListVMs", "vms")
        disks = _ask(client, "ListDisks", "disks")
        stemcells = _ask(client, "ListStemcells", "stemcells")
        networks = _ask(client, "ListNetworks", "networks")
    records = (daemon.work_dir / "snapshots").glob("*/snapshot.json")
    return World(
        stemcells=dict.fromkeys(stemcell["stemcell_cid"] for stemcell in stemcells),
        vms={
            vm["vm_cid"]: VMFacts(vm["stemcell_cid"], vm["running"], vm["metadata"])
            for vm in vms
        },
        disks={
            disk["disk_cid"]: DiskFacts(
                disk["size"],
                disk["attached_to"],
                disk["in_settings"],
                disk["cloud_properties"],
                disk["metadata"],
            )
            for disk in disks
        },
        snapshots={
            path.parent.name: json.loads(path.read_text())["disk_cid"] for path in records
        },
        networks={
            network["network_cid"]: network["bridge"]
            for network in networks
            if network["network_cid"] is not None
        },
    )


def _ask(client: Client, command: str, name: str) -> Any:
    return json.loads(wire.join(name.encode(), client.call(command)) or b"[]")
