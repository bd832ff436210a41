"""The life of VMs: create, reboot, delete, and what each leaves behind when it fails."""

from __future__ import annotations

import errno
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from ipaddress import IPv4Address
from typing import Any
from uuid import uuid4

from twisted.internet.threads import deferToThread
from twisted.logger import Logger

from runc_cpi.daemon.base.locks import Locks
from runc_cpi.daemon.base.timestamps import now
from runc_cpi.daemon.disks.disks import Disks
from runc_cpi.daemon.networks import requests
from runc_cpi.daemon.networks.interfaces import IAddressPool
from runc_cpi.daemon.stemcells.stemcells import Stemcells
from runc_cpi.daemon.storage.container import ContainerState
from runc_cpi.daemon.storage.scratch import Scratch
from runc_cpi.daemon.vms.containers import Containers, init_of
from runc_cpi.daemon.vms.registry import Registry
from runc_cpi.daemon.vms.vm import VM, NewVM, VMProperties
from runc_cpi.errors import (
    CloudError,
    CPIError,
    InvalidArgument,
    NoDiskSpace,
    VMCreationFailed,
)


class VMs:
    """
    All VMs of this host.

    What is done to one VM is serialized; different ones go side by side.
    """

    log = Logger()

    def __init__(
        self,
        *,
        registry: Registry,
        stemcells: Stemcells,
        containers: Containers,
        disks: Disks,
        pool: IAddressPool,
        plan: requests.NetworkPlan,
        scratch: Scratch,
        locks: Locks,
    ) -> None:
        self._registry, self._stemcells, self._containers = registry, stemcells, containers
        self._disks, self._pool, self._plan = disks, pool, plan
        self._scratch, self._locks = scratch, locks

    def all(self) -> list[VM]:
        """Return every VM."""
        return self._registry.all()

    def at(self, address: IPv4Address) -> VM | None:
        """Return the VM that has an address, or L{None}."""
        return self._registry.at(address)

    def is_running(self, vm_cid: str) -> bool:
        """Say whether the VM's first process is alive."""
        return self._containers.find(vm_cid).pid is not None

    async def running(self) -> set[str]:
        """Name the VMs whose first process is alive."""
        names = [vm.vm_cid for vm in self.all()]
        return await deferToThread(lambda: set(filter(self.is_running, names)))

    def exists(self, vm_cid: str) -> bool:
        """
        Say whether there is such a VM, running or not.

        @raise CloudError: if its record cannot be read.
        """
        return self._registry.exists(vm_cid)

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
        wanted = requests.parse(new.networks)
        vm_cid = f"vm-{uuid4()}"
        if properties.unknown:
            self.log.warn(
                "{vm_cid}: cloud_properties {names} mean nothing to this CPI",
                vm_cid=vm_cid,
                names=", ".join(properties.unknown),
            )
        for difference in requests.overruled(wanted, self._plan):
            self.log.warn("{vm_cid}: {text}", vm_cid=vm_cid, text=difference)
        async with self._locks.vm(vm_cid), AsyncExitStack() as undo:
            stemcell = self._stemcells.hold(new.stemcell_cid)
            undo.callback(self._stemcells.release, stemcell.cid)
            init_of(stemcell, properties)
            undo.push_async_callback(self._quietly, self._pool.release, vm_cid)
            addresses = await requests.assign(wanted, vm_cid, self._pool)
            vm = VM(
                vm_cid=vm_cid,
                agent_id=new.agent_id,
                stemcell_cid=stemcell.cid,
                cloud_properties=new.cloud_properties,
                networks=requests.complete(wanted, addresses, self._plan),
                addresses=tuple(addresses.values()),
                env=new.env,
                agent=new.agent,
                created_at=now(),
            )
            undo.push_async_callback(self._quietly, self.clear_away, vm_cid)
            try:
                await self._containers.furnish(vm, stemcell)
                await self._containers.boot(vm, stemcell)
                await self._registry.save(vm)
            except CloudError as error:
                if type(error) is CloudError:
                    raise VMCreationFailed(str(error)) from error
                raise
            except OSError as error:
                if error.errno == errno.ENOSPC:
                    raise NoDiskSpace(f"the disk is full: {error}") from error
                raise VMCreationFailed(str(error)) from error
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
        async with self._locks.vm(vm_cid):
            if not self._registry.exists(vm_cid):
                return
            await self._registry.erase(vm_cid)
            await self._containers.take_down(vm_cid)
            await self._disks.release(vm_cid, self._containers.find(vm_cid))
            await self._registry.forget(vm_cid)
            await self._quietly(self._scratch.remove, self._registry.path(vm_cid))
        self.log.info("deleted {vm_cid}", vm_cid=vm_cid)

    async def reboot(self, vm_cid: str) -> None:
        """
        Stop a VM, asking it first, and boot it again on the same file system.

        @raise VMNotFound: if there is no such VM.
        @raise CloudError: if it does not stop, or does not start.
        """
        async with self._locks.vm(vm_cid):
            await self.boot_again(self._registry.get(vm_cid))
        self.log.info("rebooted {vm_cid}", vm_cid=vm_cid)

    async def boot_again(self, vm: VM) -> None:
        """
        Boot a VM whose lock is held, after stopping it if it runs.

        @raise CloudError: if it does not stop, or does not start.
        """
        stemcell = self._stemcells.get(vm.stemcell_cid)
        if vm.stopped:
            await self._registry.save(replace(vm, stopped=False))
        await self._containers.reboot(vm, stemcell)

    async def set_metadata(self, vm_cid: str, metadata: Any) -> None:
        """
        Replace what is noted about a VM.

        @raise VMNotFound: if there is no such VM.
        @raise InvalidArgument: if C{metadata} is no object.
        """
        if not isinstance(metadata, dict):
            raise InvalidArgument("metadata: must be an object")
        async with self._locks.vm(vm_cid):
            vm = replace(self._registry.get(vm_cid), metadata=metadata)
            await self._registry.save(vm)

    async def attach_disk(self, vm_cid: str, disk_cid: str, *, in_settings: bool) -> str:
        """
        Give a disk to a VM, running or not.

        @param in_settings: whether the agent's settings file is to name it.
        @return: where the VM finds it.
        @raise VMNotFound: if there is no such VM.
        @raise DiskNotFound: if there is no such disk.
        @raise DiskAttached: if another VM has it.
        """
        async with self._locks.vm(vm_cid):
            vm = self._registry.get(vm_cid)
            hint = await self._disks.attach(
                vm_cid, disk_cid, self._containers.find(vm_cid), in_settings=in_settings
            )
            if disk_cid in self._disks.hints(vm_cid):
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
        async with self._locks.vm(vm_cid):
            vm = self._registry.get(vm_cid)
            if disk_cid in self._disks.hints(vm_cid):
                # As long as the disk is on record as attached, a crash puts this right.
                await self._containers.tell_agent(vm, but=disk_cid)
            try:
                await self._disks.detach(vm_cid, disk_cid, self._containers.find(vm_cid))
            except CPIError:
                if disk_cid in self._disks.hints(vm_cid):
                    await self._containers.tell_agent(vm)
                raise

    def disks_of(self, vm_cid: str) -> list[str]:
        """
        Return the cids of the disks that a VM has.

        @raise VMNotFound: if there is no such VM.
        """
        vm = self._registry.get(vm_cid)
        return [disk.disk_cid for disk in self._disks.of(vm.vm_cid)]

    @asynccontextmanager
    async def holding(self, disk_cid: str) -> AsyncIterator[ContainerState | None]:
        """
        Keep the VM that has a disk as it is, for work on the disk.

        @return: the VM's container, or L{None} if no VM has the disk.
        @raise DiskNotFound: if there is no such disk.
        """
        while (vm_cid := self._disks.attached_to(disk_cid)) is not None:
            async with self._locks.vm(vm_cid):
                if self._disks.attached_to(disk_cid) == vm_cid:
                    yield self._containers.find(vm_cid)
                    return
        yield None

    async def clear_away(self, vm_cid: str) -> None:
        """
        Remove all there may be of what is no VM; its directory last, for another try.

        @raise CloudError: if something of it stays.
        """
        await self._containers.take_down(vm_cid)
        path = self._registry.path(vm_cid)
        if path.exists():
            await self._scratch.remove(path)

    async def _quietly(self, undo: Callable[..., Awaitable[None]], *args: Any) -> None:
        """Clean up; a failure is logged, and never hides the first error."""
        try:
            await undo(*args)
        except Exception:
            self.log.failure("could not clean up after a VM")
