"""Which VMs there are: their records, and what is reserved for each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from twisted.internet.threads import deferToThread

from runc_cpi.daemon.base.calls import spanned
from runc_cpi.daemon.base.repairs import SET_ASIDE, Repairs
from runc_cpi.daemon.networks import planning
from runc_cpi.daemon.networks.blocks import routed_blocks
from runc_cpi.daemon.networks.forwarding import Forwarding
from runc_cpi.daemon.networks.interfaces import IAddressPools
from runc_cpi.daemon.networks.model import Address, Subnet, subnet_of
from runc_cpi.daemon.stemcells.stemcells import Stemcells
from runc_cpi.daemon.storage.bundle import Bundle
from runc_cpi.daemon.storage.depot import Depot
from runc_cpi.daemon.storage.records import (
    publish_draft,
    read_record,
    sync_directory,
    write_draft,
    write_record,
)
from runc_cpi.daemon.vms.files import furnishing
from runc_cpi.daemon.vms.interfaces import IRootDisks
from runc_cpi.daemon.vms.protection import Protection
from runc_cpi.daemon.vms.upgrades import upgraded
from runc_cpi.daemon.vms.vm import VM
from runc_cpi.errors import (
    AddressUnavailable,
    CloudError,
    PortUnavailable,
    StemcellNotFound,
    VMNotFound,
)
from runc_cpi.printable import printable

NAME_SIZE = 128  # characters of a name that are shown


class Registry:
    """
    The records of all VMs, on disk and in memory.

    A VM exists from when its record is written to when that is removed.  One whose
    record cannot be read stays as it is: nobody else gets its addresses, no stemcell is
    deleted as it may be the VM's, and calls about it are refused.
    """

    def __init__(
        self,
        depot: Depot,
        stemcells: Stemcells,
        pools: IAddressPools,
        forwarding: Forwarding,
        root_disks: IRootDisks,
    ) -> None:
        self._depot, self._stemcells, self._pools = depot, stemcells, pools
        self._forwarding, self._root_disks = forwarding, root_disks
        self._vms: dict[str, VM] = {}
        self._unreadable: set[str] = set()
        self._protection = Protection(stemcells, pools, forwarding, root_disks)
        self._erased: set[str] = set()
        self._without_stemcell: set[str] = set()

    def path(self, vm_cid: str) -> Path:
        """Return the directory of a VM."""
        return self._depot.vms / vm_cid

    async def load(self, repairs: Repairs) -> None:
        """Read all records, and reserve the addresses and stemcells that they name."""
        found: dict[Path, VM | None] = {}
        for path in sorted(self._depot.vms.iterdir()):
            record = Bundle(path).record
            if not record.exists():
                continue  # a VM in the making, or what is left of one
            found[path] = None
            with repairs.attempt(f"set {record} aside", happened=SET_ASIDE):
                found[path] = _load(path, self._pools.lasting)
        vms = [vm for vm in found.values() if vm is not None]
        bridges = planning.shared_bridges(nic for vm in vms for nic in vm.nics)
        # What is recorded is sure; what an agent is told may have been changed by its VM.
        for path, vm in sorted(found.items(), key=lambda item: item[1] is None):
            with repairs.attempt(path.name):
                if vm is None:
                    self._unreadable.add(path.name)
                    await self._protection.protect(path)
                else:
                    placed = replace(vm, nics=planning.on_shared_bridges(vm.nics, bridges))
                    self._vms[vm.vm_cid] = placed
                    await self._reserve(placed, repairs)

    async def _reserve(self, vm: VM, repairs: Repairs) -> None:
        """Reserve what a VM needs; one that cannot have it is a VM all the same."""
        try:
            self._stemcells.hold(vm.stemcell_cid)
        except StemcellNotFound as error:
            repairs.failed(f"{vm.vm_cid} cannot be booted again: {error}")
            self._stemcells.keep_images(vm.vm_cid)
            self._without_stemcell.add(vm.vm_cid)
        gateways = [(gateway, nic) for nic in vm.nics for gateway in nic.gateways]
        for gateway, nic in gateways:
            with self._reporting(vm, repairs):
                if subnet_of(gateway.ip, self._pools.subnets) is None:
                    self._pools.open(self._pools.described(gateway, nic.bridge))
        for holding in (*vm.addresses, *vm.blocks):
            with self._reporting(vm, repairs):
                await self._pools.claim(holding, vm.vm_cid, recorded=True)
        with self._reporting(vm, repairs):
            blocks = routed_blocks(vm.nics)
            self._forwarding.recall(vm.vm_cid, vm.addresses, vm.ports, blocks)
        for vip in vm.vips:
            with self._reporting(vm, repairs):
                self._forwarding.recall_vip(vm.vm_cid, vip)

    @contextmanager
    def _reporting(self, vm: VM, repairs: Repairs) -> Iterator[None]:
        """Report that something cannot be a VM's, and go on."""
        try:
            yield
        except (AddressUnavailable, PortUnavailable) as error:
            repairs.failed(f"{vm.vm_cid}: {error}")

    def all(self) -> list[VM]:
        """Return every VM."""
        return list(self._vms.values())

    def incomplete(self) -> list[str]:
        """Name the directories without a record, of VMs in the making or half removed."""
        return sorted(
            path.name
            for path in self._depot.vms.iterdir()
            if path.name not in self._vms and path.name not in self._unreadable
        )

    def set_aside(self) -> list[str]:
        """Name the VMs whose records cannot be read."""
        return sorted(self._unreadable)

    def half_deleted(self) -> list[str]:
        """Name the VMs whose deletion was begun and has not ended."""
        return sorted(self._erased)

    def exists(self, vm_cid: str) -> bool:
        """
        Say whether there is such a VM, running or not.

        @raise CloudError: if its record cannot be read.
        """
        if vm_cid in self._unreadable:
            raise CloudError(
                f"the record of {vm_cid} cannot be read, and the VM was set aside; the "
                "daemon's log tells more"
            )
        return vm_cid in self._vms

    def get(self, vm_cid: str) -> VM:
        """
        Return a VM.

        @raise VMNotFound: if there is no such VM.
        @raise CloudError: if its record cannot be read, or it is half deleted.
        """
        if not self.exists(vm_cid):
            raise VMNotFound(f"there is no VM {vm_cid!r}")
        if vm_cid in self._erased:
            raise CloudError(f"{vm_cid} was not deleted whole; delete it again")
        return self._vms[vm_cid]

    def find(self, vm_cid: str) -> VM | None:
        """Return a VM that is not being deleted, or L{None}."""
        return None if vm_cid in self._erased else self._vms.get(vm_cid)

    def at(self, address: Address) -> VM | None:
        """Return the VM that has an address, and is not being deleted, or L{None}."""
        owner = self._pools.owner(address)
        return None if owner is None else self.find(owner)

    def described(self, vm_cid: str) -> str:
        """Return the id of a VM, and what BOSH calls it, for the log."""
        vm = self._vms.get(vm_cid)
        return vm_cid if vm is None else f"{vm_cid} ({printable(vm.name[:NAME_SIZE], '')})"

    @spanned("draft of the record")
    async def draft(self, vm: VM, furnished: Sequence[str]) -> None:
        """
        Have on the disk all that there must be of a new VM before L{add}.

        @param furnished: the files that it boots with (L{furnishing.furnish}).
        @raise OSError: if the disk fails, or is full.
        """
        bundle = Bundle(self.path(vm.vm_cid))
        await self._root_disks.sync(bundle)
        await deferToThread(_draft, bundle, vm, furnished)

    @spanned("record")
    async def add(self, vm: VM) -> None:
        """
        Have the draft of a new VM's record be the record: from here on there is this VM.

        @raise OSError: if that is not possible.
        """
        await deferToThread(publish_draft, Bundle(self.path(vm.vm_cid)).record)
        self._vms[vm.vm_cid] = vm

    @spanned("record")
    async def save(self, vm: VM) -> None:
        """
        Write the record of a VM that there is anew.

        @raise OSError: if it cannot be written; the old one stays.
        """
        record = Bundle(self.path(vm.vm_cid)).record
        await deferToThread(write_record, record, vm.to_json())
        self._vms[vm.vm_cid] = vm

    @spanned("record")
    async def erase(self, vm_cid: str) -> None:
        """
        Remove a record: after a crash from here on, what is left will be removed.

        After a power cut that is so once L{sync} has ended as well.

        @raise OSError: if it cannot be removed; the VM is one as before.
        """
        record = Bundle(self.path(vm_cid)).record
        await deferToThread(record.unlink, missing_ok=True)
        self._erased.add(vm_cid)

    @spanned("record on disk")
    async def sync(self, vm_cid: str) -> None:
        """
        Wait until it is on the disk whether a VM has a record.

        @raise OSError: if the disk fails.
        """
        await deferToThread(sync_directory, self.path(vm_cid))

    async def forget(self, vm_cid: str) -> None:
        """Release what was reserved for an erased VM, all of which is removed by now."""
        vm = self._vms.pop(vm_cid)
        self._erased.discard(vm_cid)
        if vm_cid in self._without_stemcell:
            self._without_stemcell.discard(vm_cid)
            self._stemcells.let_images_go(vm_cid)
        else:
            self._stemcells.release(vm.stemcell_cid)
        await self._pools.release(vm_cid)


def _draft(bundle: Bundle, vm: VM, furnished: Sequence[str]) -> None:
    furnishing.sync(bundle, furnished)
    write_draft(bundle.record, vm.to_json())


def _load(path: Path, subnets: Sequence[Subnet]) -> VM:
    """
    Read the record of the VM whose directory this is.

    @param subnets: those that are there without a VM; at its next boot the VM is in them as
        they are now, unless it is in another.
    @raise OSError: if it cannot be read.
    @raise ValueError: if it is none, or another VM's.
    """
    vm = VM.from_json(upgraded(read_record(Bundle(path).record), subnets))
    if vm.vm_cid != path.name:
        raise ValueError(f"it is the record of {vm.vm_cid!r}")
    return replace(vm, nics=planning.updated(vm.nics, subnets))
