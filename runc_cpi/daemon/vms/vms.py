"""The life of VMs: create, reboot, delete, and what each leaves behind when it fails."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from twisted.logger import Logger

from runc_cpi.daemon.base.cleanup import quietly
from runc_cpi.daemon.base.concurrency import side_by_side
from runc_cpi.daemon.base.locks import Locks
from runc_cpi.daemon.disks.disks import Disks
from runc_cpi.daemon.networks.forwarding import Forwarding
from runc_cpi.daemon.networks.model import Address, IPNetwork
from runc_cpi.daemon.networks.networks import Networks
from runc_cpi.daemon.stemcells.stemcells import Stemcells
from runc_cpi.daemon.storage.container import ContainerState
from runc_cpi.daemon.storage.scratch import Scratch
from runc_cpi.daemon.vms.conditions import Conditions
from runc_cpi.daemon.vms.containers import Containers
from runc_cpi.daemon.vms.creation import Creation
from runc_cpi.daemon.vms.lost_answers import LostAnswers
from runc_cpi.daemon.vms.new_vm import NewVM
from runc_cpi.daemon.vms.oom_kills import OOMKills
from runc_cpi.daemon.vms.registry import Registry
from runc_cpi.daemon.vms.vm import VM
from runc_cpi.errors import CPIError, InvalidArgument


class VMs:
    """
    All VMs of this host: what is done to one is serialized, others go beside it.

    @ivar conditions: tells how they are.
    """

    log = Logger()

    def __init__(
        self,
        *,
        registry: Registry,
        stemcells: Stemcells,
        containers: Containers,
        disks: Disks,
        networks: Networks,
        forwarding: Forwarding,
        scratch: Scratch,
        locks: Locks,
        oom_kills: OOMKills,
    ) -> None:
        self._registry, self._stemcells, self._containers = registry, stemcells, containers
        self._disks, self._networks, self._scratch = disks, networks, scratch
        self._forwarding, self._locks = forwarding, locks
        self._creation = Creation(
            registry=registry,
            stemcells=stemcells,
            containers=containers,
            networks=networks,
            forwarding=forwarding,
            scratch=scratch,
            locks=locks,
        )
        self._lost_answers = LostAnswers(registry, disks, forwarding)
        self._oom_kills = oom_kills
        self.conditions = Conditions(registry, containers, locks)

    def all(self) -> list[VM]:
        """Return every VM."""
        return self._registry.all()

    def at(self, address: Address) -> VM | None:
        """Return the VM that has an address, or L{None}."""
        return self._registry.at(address)

    def networks(self) -> list[IPNetwork]:
        """Return the networks that VMs are in, or can be."""
        return self._networks.cidrs()

    def is_running(self, vm_cid: str) -> bool:
        """Say whether the VM's first process is alive."""
        return self._containers.find(vm_cid).pid is not None

    async def oom_kills(self) -> dict[str, int]:
        """
        Return how many processes of VMs the kernel killed since they booted.

        @return: by the VM; one that is down, or whose kills nobody counts, is not in it.
        """
        return await self._oom_kills.counts([vm.vm_cid for vm in self.all()])

    def known_oom_kills(self) -> dict[str, int]:
        """Return the same of VMs that run, as far as that is known without a look."""
        return self._oom_kills.known()

    def exists(self, vm_cid: str) -> bool:
        """
        Say whether there is such a VM, running or not.

        @raise CloudError: if its record cannot be read.
        """
        return self._registry.exists(vm_cid)

    async def create(self, new: NewVM) -> VM:
        """
        Make a VM and boot it.

        @raise InvalidArgument: if nothing in the stemcell can boot it here.
        @raise StemcellNotFound: if there is no such stemcell.
        @raise AddressUnavailable: if an address asked for cannot be had.
        @raise PortUnavailable: if a port of the host asked for is taken.
        @raise NoDiskSpace: if the disk is full; nothing is left then.
        @raise VMCreationFailed: if the host fails; nothing is left then.
        """
        await self._make_way(new)
        return await self._creation.create(new, self.clear_away)

    async def _make_way(self, new: NewVM) -> None:
        """Delete what an earlier call for the same agent made, if its answer was lost."""
        for vm_cid in self._lost_answers.in_the_way_of(new):
            async with self._locks.vm(vm_cid):
                if self._lost_answers.is_nobodys(vm_cid, new):
                    self.log.warn(
                        "{vm_cid} makes way for a new VM for {agent_id}; nobody knows it",
                        vm_cid=vm_cid,
                        agent_id=new.agent_id,
                    )
                    await self._delete(vm_cid)

    def warnings(self, new: NewVM) -> list[str]:
        """Return what a call asks for and does not get."""
        return self._creation.warnings(new)

    async def delete(self, vm_cid: str) -> None:
        """
        Stop a VM and remove all of it; an unknown one is no error.

        @raise CloudError: if it cannot be confirmed that the VM is gone.
        """
        async with self._locks.vm(vm_cid):
            if self._registry.exists(vm_cid):
                await self._delete(vm_cid)

    async def _delete(self, vm_cid: str) -> None:
        """Delete a VM whose lock is held."""
        await self._registry.erase(vm_cid)
        # A power cut that brings the record back would end the VM, too.
        await side_by_side(self._registry.sync(vm_cid), self._containers.kill(vm_cid))
        # Both before its address is another VM's.
        await side_by_side(
            self._containers.take_down(vm_cid), self._forwarding.dismiss(vm_cid)
        )
        await self._disks.release(vm_cid, self._containers.find(vm_cid))
        await self._registry.forget(vm_cid)
        await quietly(self._networks.settle)
        await quietly(self._scratch.clear, self._registry.path(vm_cid))
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
        if vm.stopped or vm.end is not None:
            await self._registry.save(replace(vm, stopped=False, end=None))
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
        @raise CPIError: as L{Disks.attach} does.
        """
        async with self._locks.vm(vm_cid):
            vm = self._registry.get(vm_cid)
            hint = await self._disks.attach(
                vm_cid, disk_cid, self._containers.find(vm_cid), in_settings=in_settings
            )
            if disk_cid in self._disks.hints(vm_cid):
                await self._containers.agents.tell(vm)
        return hint

    async def detach_disk(self, vm_cid: str, disk_cid: str) -> None:
        """
        Take a disk from a VM, running or not.

        @raise VMNotFound: if there is no such VM.
        @raise CPIError: as L{Disks.detach} does.
        """
        async with self._locks.vm(vm_cid):
            vm = self._registry.get(vm_cid)
            if disk_cid in self._disks.hints(vm_cid):
                # As long as the disk is on record as attached, a crash puts this right.
                await self._containers.agents.tell(vm, but=disk_cid)
            try:
                await self._disks.detach(vm_cid, disk_cid, self._containers.find(vm_cid))
            except CPIError:
                if disk_cid in self._disks.hints(vm_cid):
                    await self._containers.agents.tell(vm)
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
        Remove all that is left of a VM that was not made, or not deleted, to the end.

        Its directory goes last: while it is there, the removal is tried again.

        @raise CloudError: if something of it stays.
        """
        await self._containers.take_down(vm_cid)
        path = self._registry.path(vm_cid)
        if path.exists():
            await self._scratch.clear(path)
