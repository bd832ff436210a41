"""Protects what a VM may need whose record cannot be read: nobody else gets it."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from runc_cpi.daemon.networks.blocks import told_block
from runc_cpi.daemon.networks.forwarding import Forwarding
from runc_cpi.daemon.networks.interfaces import IAddressPools
from runc_cpi.daemon.networks.model import (
    Address,
    Holding,
    IPNetwork,
    Subnet,
    subnet_of,
)
from runc_cpi.daemon.stemcells.stemcells import Stemcells
from runc_cpi.daemon.storage.bundle import Bundle
from runc_cpi.daemon.storage.tree import Tree
from runc_cpi.daemon.vms.files.settings_file import told_addresses, told_blocks
from runc_cpi.daemon.vms.interfaces import IRootDisks
from runc_cpi.errors import AddressUnavailable


class Protection:
    """
    Keeps stemcells, and what the agents of such VMs are told.

    What is recorded of other VMs is sure, and comes first; what an agent is told may have
    been changed by its VM.
    """

    def __init__(
        self,
        stemcells: Stemcells,
        pools: IAddressPools,
        forwarding: Forwarding,
        root_disks: IRootDisks,
    ) -> None:
        self._stemcells, self._pools = stemcells, pools
        self._forwarding, self._root_disks = forwarding, root_disks

    async def protect(self, path: Path) -> None:
        """
        Keep what a VM may need.

        @param path: its directory.
        @raise CloudError: if its root disk cannot be mounted.
        """
        self._stemcells.guard(path.name)
        await self._root_disks.mount(Bundle(path))
        addresses, blocks = _told_by_settings(path)
        kept = {told: await self._keep(told, path.name) for told in (*addresses, *blocks)}
        firsts = {block[0] for block in blocks}
        singles = [each for each in addresses if each not in firsts and kept[each]]
        routed = [told_block(b, singles, at) for b in blocks if (at := kept[b]) is not None]
        self._forwarding.recall(path.name, addresses, (), routed)

    async def _keep(self, told: Holding, vm_cid: str) -> Subnet | None:
        """
        Have nobody else get what an agent is told.

        @return: the subnet that all of it is in; L{None} if it is in none, or not the VM's.
        """
        ends = (told,) if isinstance(told, Address) else (told[0], told[-1])
        subnet = subnet_of(ends[0], self._pools.subnets)
        if subnet is None or ends[-1] not in subnet.cidr:
            self._pools.protect(told, vm_cid)
            return None
        with suppress(AddressUnavailable):
            await self._pools.claim(told, vm_cid, recorded=True)
            return subnet
        return None


def _told_by_settings(path: Path) -> tuple[list[Address], list[IPNetwork]]:
    """Return the addresses and blocks that a VM's agent is told, as its record cannot."""
    with suppress(OSError), Tree.at(Bundle(path).upper) as tree:
        return told_addresses(tree), told_blocks(tree)
    return [], []
