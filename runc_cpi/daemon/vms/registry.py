"""Which VMs there are: their records, and what each record keeps from others."""

from __future__ import annotations

from contextlib import suppress
from ipaddress import IPv4Address
from pathlib import Path

from twisted.internet.threads import deferToThread

from runc_cpi.daemon.base.repairs import Repairs
from runc_cpi.daemon.networks.interfaces import IAddressPool
from runc_cpi.daemon.stemcells.stemcells import Stemcells
from runc_cpi.daemon.storage.bundle import Bundle
from runc_cpi.daemon.storage.depot import Depot
from runc_cpi.daemon.storage.records import read_record, sync_directory, write_record
from runc_cpi.daemon.storage.tree import Tree
from runc_cpi.daemon.vms.files.settings_file import told_addresses
from runc_cpi.daemon.vms.vm import VM
from runc_cpi.errors import (
    AddressUnavailable,
    CloudError,
    StemcellNotFound,
    VMNotFound,
)


class Registry:
    """
    The records of all VMs, on disk and in memory.

    A VM exists from when its record is written to when that is removed.  One whose
    record cannot be read is set aside: it is left as it is, nobody else gets its address
    or deletes its stemcell, and whoever asks about it is told.
    """

    def __init__(self, depot: Depot, stemcells: Stemcells, pool: IAddressPool) -> None:
        self._depot, self._stemcells, self._pool = depot, stemcells, pool
        self._vms: dict[str, VM] = {}
        self._aside: set[str] = set()
        self._erased: set[str] = set()
        self._stemless: set[str] = set()

    def path(self, vm_cid: str) -> Path:
        """Return the directory of a VM."""
        return self._depot.vms / vm_cid

    async def load(self, repairs: Repairs) -> None:
        """Read all records, and take the addresses and stemcells that they name."""
        for path in sorted(self._depot.vms.iterdir()):
            record = Bundle(path).record
            if not record.exists():
                continue  # not whole, and no VM
            vm = None
            with repairs.attempt(f"set {record} aside"):
                vm = _load(path)
            with repairs.attempt(path.name):
                if vm is None:
                    await self._set_aside(path)
                else:
                    self._vms[vm.vm_cid] = vm
                    await self._take(vm, repairs)

    async def _take(self, vm: VM, repairs: Repairs) -> None:
        """Take what a VM needs; one that cannot have it is a VM all the same."""
        try:
            self._stemcells.hold(vm.stemcell_cid)
        except StemcellNotFound as error:
            repairs.failed(f"{vm.vm_cid} cannot be booted again: {error}")
            self._stemless.add(vm.vm_cid)
        for address in vm.addresses:
            try:
                await self._pool.claim(address, vm.vm_cid)
            except AddressUnavailable as error:
                repairs.failed(f"{vm.vm_cid}: {error}")

    async def _set_aside(self, path: Path) -> None:
        self._aside.add(path.name)
        self._stemcells.guard(path.name)
        for address in _addresses_of(path):
            with suppress(AddressUnavailable):
                await self._pool.claim(address, path.name)

    def all(self) -> list[VM]:
        """Return every VM."""
        return list(self._vms.values())

    def incomplete(self) -> list[str]:
        """Name the directories that hold no VM: one in the making, or what is left."""
        return sorted(
            path.name
            for path in self._depot.vms.iterdir()
            if path.name not in self._vms and path.name not in self._aside
        )

    def half_deleted(self) -> list[str]:
        """Name the VMs whose deletion was begun; where it failed, some of it is there."""
        return sorted(self._erased)

    def exists(self, vm_cid: str) -> bool:
        """
        Say whether there is such a VM, running or not.

        @raise CloudError: if its record cannot be read.
        """
        if vm_cid in self._aside:
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

    def at(self, address: IPv4Address) -> VM | None:
        """Return the VM that has an address, and is not being deleted, or L{None}."""
        owner = self._pool.owner(address)
        return None if owner is None else self.find(owner)

    async def save(self, vm: VM) -> None:
        """
        Write a record: from here on there is this VM.

        @raise OSError: if it cannot be written.
        """
        record = Bundle(self.path(vm.vm_cid)).record
        await deferToThread(write_record, record, vm.to_json())
        self._vms[vm.vm_cid] = vm

    async def erase(self, vm_cid: str) -> None:
        """
        Remove a record: after a crash from here on, what is left will be removed.

        @raise OSError: if it cannot be removed; the VM is one as before.
        """
        await deferToThread(_erase, self.path(vm_cid))
        self._erased.add(vm_cid)

    async def forget(self, vm_cid: str) -> None:
        """Let others have what an erased VM had, which is gone by now."""
        vm = self._vms.pop(vm_cid)
        self._erased.discard(vm_cid)
        if vm_cid in self._stemless:
            self._stemless.discard(vm_cid)
        else:
            self._stemcells.release(vm.stemcell_cid)
        await self._pool.release(vm_cid)


def _load(path: Path) -> VM:
    """
    Read the record of the VM whose directory this is.

    @raise OSError: if it cannot be read.
    @raise ValueError: if it is none, or another VM's.
    """
    vm = VM.from_json(read_record(Bundle(path).record))
    if vm.vm_cid != path.name:
        raise ValueError(f"it is the record of {vm.vm_cid!r}")
    return vm


def _erase(path: Path) -> None:
    Bundle(path).record.unlink(missing_ok=True)
    sync_directory(path)


def _addresses_of(path: Path) -> list[IPv4Address]:
    """Find the addresses of a VM whose record is no good in its agent's settings."""
    with suppress(OSError), Tree.at(Bundle(path).upper) as tree:
        return told_addresses(tree)
    return []
