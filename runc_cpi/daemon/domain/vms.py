"""The life of VMs: create, reboot, delete, and what each leaves behind when it fails."""

from __future__ import annotations

import errno
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from twisted.internet.threads import deferToThread
from twisted.logger import Logger

from runc_cpi.daemon.domain import networks
from runc_cpi.daemon.domain.concurrency import KeyedLock, side_by_side
from runc_cpi.daemon.domain.containers import Containers, init_of
from runc_cpi.daemon.domain.disk import Container
from runc_cpi.daemon.domain.disks import Disks
from runc_cpi.daemon.domain.interfaces import IAddressPool, IArchiver
from runc_cpi.daemon.domain.stemcells import Stemcells
from runc_cpi.daemon.domain.vm import VM, NewVM, VMProperties
from runc_cpi.daemon.storage.depot import (
    Depot,
    read_record,
    sync_directory,
    write_record,
)
from runc_cpi.errors import (
    CloudError,
    CPIError,
    InvalidArgument,
    NoDiskSpace,
    VMCreationFailed,
    VMNotFound,
)

RECORD = "vm.json"


class VMs:
    """
    All VMs of this host.

    What is done to one VM is serialized; different ones go side by side.
    """

    log = Logger()

    def __init__(
        self,
        *,
        depot: Depot,
        stemcells: Stemcells,
        containers: Containers,
        disks: Disks,
        pool: IAddressPool,
        plan: networks.NetworkPlan,
        archiver: IArchiver,
    ) -> None:
        self._depot, self._stemcells, self._containers = depot, stemcells, containers
        self._disks, self._pool, self._plan = disks, pool, plan
        self._archiver = archiver
        self._locks = KeyedLock()
        self._vms: dict[str, VM] = {}
        self._unreadable: set[str] = set()

    async def load(self) -> None:
        """
        Read the records, take the addresses they name, and clear up what is no VM.

        A directory without a record is a VM whose creation was not finished or whose
        deletion was: nothing of it is to stay.
        """
        for vm_cid in self._containers.strays():
            self._path(vm_cid).mkdir(mode=0o700)
        for path in sorted(self._depot.vms.iterdir()):
            if not (path / RECORD).exists():
                await self._sweep(path)
                continue
            try:
                vm = VM.from_json(read_record(path / RECORD))
                self._stemcells.hold(vm.stemcell_cid)
                for address in vm.addresses:
                    await self._pool.claim(address, vm.vm_cid)
            except (OSError, ValueError, CPIError) as error:
                self.log.error("ignored {path}: {error}", path=str(path), error=str(error))
                self._unreadable.add(path.name)
            else:
                self._vms[vm.vm_cid] = vm
        for vm_cid in self._disks.owners():
            await self._see_to_disks(vm_cid)
        await self._disks.sweep()

    async def bring_back(self) -> None:
        """Boot the VMs that a reboot of the host took down; each for itself."""
        lost = [vm_cid for vm_cid in self._vms if self._containers.was_lost(vm_cid)]
        await side_by_side(*map(self._bring_back, lost))

    async def _bring_back(self, vm_cid: str) -> None:
        async with self._locks(vm_cid):
            if vm_cid not in self._vms or not self._containers.was_lost(vm_cid):
                return
            try:
                await self._reboot(self._vms[vm_cid])
            except (CPIError, OSError) as error:
                self.log.error(
                    "cannot bring back {vm_cid}: {error}", vm_cid=vm_cid, error=str(error)
                )
            else:
                self.log.info("brought back {vm_cid}", vm_cid=vm_cid)

    async def _see_to_disks(self, vm_cid: str) -> None:
        """Make what a VM sees of its disks agree with their records, after a crash."""
        container = self._containers.find(vm_cid)
        try:
            if not self._path(vm_cid).exists():
                await self._disks.release(vm_cid, container)
            elif container.pid is not None:
                await self._disks.restore(vm_cid, container)
        except CPIError as error:
            self.log.error("disks of {vm_cid}: {error}", vm_cid=vm_cid, error=str(error))

    async def _sweep(self, path: Path) -> None:
        try:
            await self._clear_away(path.name)
            self.log.info("removed {vm_cid}, not a whole VM", vm_cid=path.name)
        except (CPIError, OSError) as error:
            self.log.error(
                "cannot remove {vm_cid}: {error}", vm_cid=path.name, error=str(error)
            )

    def all(self) -> list[VM]:
        """Return every VM."""
        return list(self._vms.values())

    def is_running(self, vm_cid: str) -> bool:
        """Say whether the VM's first process is alive."""
        return self._containers.find(vm_cid).pid is not None

    def exists(self, vm_cid: str) -> bool:
        """Say whether there is such a VM, running or not."""
        return vm_cid in self._vms

    async def create(self, new: NewVM) -> VM:
        """
        Make a VM and boot it.

        @raise InvalidArgument: if an argument is not what it must be.
        @raise StemcellNotFound: if there is no such stemcell.
        @raise AddressUnavailable: if an address asked for cannot be had.
        @raise VMCreationFailed: if the host fails; nothing is left then.
        """
        new.check()
        properties = VMProperties.parse(new.cloud_properties)
        requests = networks.parse(new.networks)
        vm_cid = f"vm-{uuid4()}"
        if properties.unknown:
            self.log.warn(
                "{vm_cid}: cloud_properties {names} mean nothing to this CPI",
                vm_cid=vm_cid,
                names=", ".join(properties.unknown),
            )
        async with self._locks(vm_cid), AsyncExitStack() as undo:
            stemcell = self._stemcells.hold(new.stemcell_cid)
            undo.callback(self._stemcells.release, stemcell.cid)
            init_of(stemcell, properties)
            undo.push_async_callback(self._quietly, self._pool.release, vm_cid)
            addresses = await networks.assign(requests, vm_cid, self._pool)
            vm = VM(
                vm_cid=vm_cid,
                agent_id=new.agent_id,
                stemcell_cid=stemcell.cid,
                cloud_properties=new.cloud_properties,
                networks=networks.complete(requests, addresses, self._plan),
                addresses=tuple(addresses.values()),
                env=new.env,
                agent=new.agent,
                created_at=datetime.now(UTC).isoformat(timespec="seconds"),
            )
            path = self._path(vm_cid)
            undo.push_async_callback(self._quietly, self._clear_away, vm_cid)
            try:
                await self._containers.furnish(vm, stemcell)
                await self._containers.boot(vm, stemcell)
                await deferToThread(write_record, path / RECORD, vm.to_json())
            except CloudError as error:
                if type(error) is CloudError:
                    raise VMCreationFailed(str(error)) from error
                raise
            except OSError as error:
                if error.errno == errno.ENOSPC:
                    raise NoDiskSpace(f"the disk is full: {error}") from error
                raise VMCreationFailed(str(error)) from error
            self._vms[vm_cid] = vm
            undo.pop_all()
        self.log.info(
            "created {vm_cid} at {address} from {stemcell_cid}",
            vm_cid=vm_cid,
            address=str(vm.addresses[0]),
            stemcell_cid=stemcell.cid,
        )
        return vm

    async def delete(self, vm_cid: str) -> None:
        """
        Stop a VM and remove all of it; an unknown one is no error.

        @raise CloudError: if it cannot be confirmed that the VM is gone.
        """
        async with self._locks(vm_cid):
            if vm_cid in self._unreadable:
                raise CloudError(f"the record of {vm_cid} cannot be read; see the log")
            if vm_cid not in self._vms:
                return
            path = self._path(vm_cid)
            await deferToThread(_forget, path)
            await self._containers.take_down(vm_cid)
            await self._disks.release(vm_cid, self._containers.find(vm_cid))
            vm = self._vms.pop(vm_cid)
            self._stemcells.release(vm.stemcell_cid)
            await self._pool.release(vm_cid)
            await self._quietly(self._remove_directory, path)
        self.log.info("deleted {vm_cid}", vm_cid=vm_cid)

    async def reboot(self, vm_cid: str) -> None:
        """
        Stop a VM, asking it first, and boot it again on the same file system.

        @raise VMNotFound: if there is no such VM.
        @raise CloudError: if it does not stop, or does not start.
        """
        async with self._locks(vm_cid):
            await self._reboot(self._get(vm_cid))
        self.log.info("rebooted {vm_cid}", vm_cid=vm_cid)

    async def _reboot(self, vm: VM) -> None:
        stemcell = self._stemcells.hold(vm.stemcell_cid)
        try:
            await self._containers.ask_to_halt(vm, stemcell)
            await self._containers.take_down(vm.vm_cid)
            await self._containers.boot(vm, stemcell)
        finally:
            self._stemcells.release(stemcell.cid)

    async def set_metadata(self, vm_cid: str, metadata: Any) -> None:
        """
        Replace what is noted about a VM.

        @raise VMNotFound: if there is no such VM.
        @raise InvalidArgument: if C{metadata} is no object.
        """
        if not isinstance(metadata, dict):
            raise InvalidArgument("metadata: must be an object")
        async with self._locks(vm_cid):
            vm = replace(self._get(vm_cid), metadata=metadata)
            record = self._path(vm_cid) / RECORD
            await deferToThread(write_record, record, vm.to_json())
            self._vms[vm_cid] = vm

    async def attach_disk(self, vm_cid: str, disk_cid: str, *, in_settings: bool) -> str:
        """
        Give a disk to a VM, running or not.

        @param in_settings: whether the agent's settings file is to name it.
        @return: where the VM finds it.
        @raise VMNotFound: if there is no such VM.
        @raise DiskNotFound: if there is no such disk.
        @raise DiskAttached: if another VM has it.
        """
        async with self._locks(vm_cid):
            vm = self._get(vm_cid)
            hint = await self._disks.attach(
                vm_cid, disk_cid, self._containers.find(vm_cid), in_settings=in_settings
            )
            if in_settings:
                await self._containers.tell_agent(vm)
        return hint

    async def detach_disk(self, vm_cid: str, disk_cid: str) -> None:
        """
        Take a disk from a VM, running or not.

        @raise VMNotFound: if there is no such VM.
        @raise DiskNotFound: if there is no such disk.
        @raise DiskNotAttached: if the VM does not have it.
        @raise DiskBusy: if a process of the VM still uses it.
        """
        async with self._locks(vm_cid):
            vm = self._get(vm_cid)
            told = self._disks.hints(vm_cid)
            await self._disks.detach(vm_cid, disk_cid, self._containers.find(vm_cid))
            if disk_cid in told:
                await self._containers.tell_agent(vm)

    def disks_of(self, vm_cid: str) -> list[str]:
        """
        Return the cids of the disks that a VM has.

        @raise VMNotFound: if there is no such VM.
        """
        return [disk.disk_cid for disk in self._disks.of(self._get(vm_cid).vm_cid)]

    @asynccontextmanager
    async def holding(self, disk_cid: str) -> AsyncIterator[Container | None]:
        """
        Keep the VM that has a disk as it is, for work on the disk.

        @return: the VM's container, or L{None} if no VM has the disk.
        @raise DiskNotFound: if there is no such disk.
        """
        vm_cid = self._disks.attached_to(disk_cid)
        if vm_cid is None:
            yield None
            return
        async with self._locks(vm_cid):
            still = self._disks.attached_to(disk_cid) == vm_cid
            yield self._containers.find(vm_cid) if still else None

    def _get(self, vm_cid: str) -> VM:
        try:
            return self._vms[vm_cid]
        except KeyError:
            raise VMNotFound(f"there is no VM {vm_cid!r}") from None

    def _path(self, vm_cid: str) -> Path:
        return self._depot.vms / vm_cid

    async def _clear_away(self, vm_cid: str) -> None:
        """Remove all there may be of a VM; its directory last, for another try."""
        await self._containers.take_down(vm_cid)
        await self._remove_directory(self._path(vm_cid))

    async def _remove_directory(self, path: Path) -> None:
        if path.exists():
            trash = await deferToThread(self._depot.set_aside, path)
            await self._archiver.remove(trash)

    async def _quietly(self, undo: Callable[..., Awaitable[None]], *args: Any) -> None:
        """Clean up; a failure is logged, and never hides the first error."""
        try:
            await undo(*args)
        except Exception:
            self.log.failure("could not clean up after a VM")


def _forget(path: Path) -> None:
    (path / RECORD).unlink(missing_ok=True)
    sync_directory(path)
