"""Numbers of what VMs have: addresses, disks, snapshots, and the room for them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from runc_cpi.daemon.base.units import MEBIBYTE
from runc_cpi.daemon.disks.disks import Disks
from runc_cpi.daemon.disks.snapshots import Snapshots
from runc_cpi.daemon.events.event import named
from runc_cpi.daemon.http.metrics import catalogue as of
from runc_cpi.daemon.http.metrics.samples import Sample
from runc_cpi.daemon.networks.managed import NetworkFacts
from runc_cpi.daemon.networks.model import Address, Subnet

NO_HOSTS = 3  # the network's address, the gateway, and the broadcast address


def of_networks(networks: Sequence[NetworkFacts]) -> Iterator[Sample]:
    """Return how many addresses there are in each network, and how many are in use."""
    for network in networks:
        subnet = network.subnet
        labels = named(subnet.name or network.network_cid or ""), str(subnet.cidr)
        used = sum(
            1 if isinstance(holding, Address) else holding.num_addresses
            for holding in network.holders
        )
        yield Sample(of.ADDRESSES, labels, _size(subnet))
        yield Sample(of.ADDRESSES_USED, labels, used)


def _size(subnet: Subnet) -> int:
    reserved = sum(int(kept.last) - int(kept.first) + 1 for kept in subnet.reserved)
    return max(0, subnet.cidr.num_addresses - NO_HOSTS - reserved)


def of_disks(disks: Disks, snapshots: Snapshots) -> Iterator[Sample]:
    """Return the sizes of disks, and how many snapshots there are."""
    for disk in disks.all():
        labels = disk.disk_cid, disk.attached_to or ""
        yield Sample(of.DISK, labels, disk.size * MEBIBYTE)
        taken = disks.taken(disk.disk_cid)
        if taken is not None:
            yield Sample(of.DISK_TAKEN, labels, taken)
    yield Sample(of.SNAPSHOTS, (), len(snapshots.all()))


def of_room(disks: Disks) -> Iterator[Sample]:
    """
    Return how much room there is; this may block.

    @raise OSError: if the file system cannot be looked at.
    """
    account = disks.room.account()
    yield Sample(of.ROOM_FREE, (), account.free)
    yield Sample(of.ROOM_PROMISED, (), account.promised)
    yield Sample(of.ROOM_PROMISABLE, (), account.limit)
