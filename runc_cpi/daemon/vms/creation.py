"""How a VM is made: its steps, and what the caller is told of one that fails."""

from __future__ import annotations

import errno
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from uuid import uuid4

from twisted.logger import Logger

from runc_cpi.daemon.base.calls import spanned
from runc_cpi.daemon.base.cleanup import quietly
from runc_cpi.daemon.base.concurrency import side_by_side
from runc_cpi.daemon.base.locks import Locks
from runc_cpi.daemon.base.shortage import PASSING
from runc_cpi.daemon.base.timestamps import now
from runc_cpi.daemon.networks.blocks import routed_blocks
from runc_cpi.daemon.networks.forwarding import Forwarding
from runc_cpi.daemon.networks.networks import Networks
from runc_cpi.daemon.networks.planning import plan
from runc_cpi.daemon.networks.settings import complete
from runc_cpi.daemon.stemcells.stemcells import Stemcells
from runc_cpi.daemon.storage.scratch import Scratch
from runc_cpi.daemon.vms.containers import Containers
from runc_cpi.daemon.vms.new_vm import NewVM
from runc_cpi.daemon.vms.registry import Registry
from runc_cpi.daemon.vms.vm import VM
from runc_cpi.errors import CloudError, HostShort, NoDiskSpace, VMCreationFailed


class Creation:
    """Makes VMs: what each step made is taken back if a later one fails."""

    log = Logger()

    def __init__(
        self,
        *,
        registry: Registry,
        stemcells: Stemcells,
        containers: Containers,
        networks: Networks,
        forwarding: Forwarding,
        scratch: Scratch,
        locks: Locks,
    ) -> None:
        self._registry, self._stemcells, self._containers = registry, stemcells, containers
        self._networks, self._forwarding = networks, forwarding
        self._scratch, self._locks = scratch, locks
        self._boots = containers.boots

    async def create(self, new: NewVM, clear_away: Callable[[str], Awaitable[None]]) -> VM:
        """
        Make a VM and boot it.

        @param clear_away: removes all that there is of a VM, whose lock is held.
        @raise CPIError: as L{VMs.create} does.
        """
        vm_cid = f"vm-{uuid4()}"
        for text in self.warnings(new):
            self.log.warn("{vm_cid}: {text}", vm_cid=vm_cid, text=text)
        await self._scratch.make_room()
        async with self._locks.vm(vm_cid), AsyncExitStack() as undo:
            stemcell = self._stemcells.hold(new.stemcell_cid)
            undo.callback(self._stemcells.release, stemcell.cid)
            self._boots.init_of(stemcell, new.properties)
            undo.push_async_callback(quietly, self._networks.release, vm_cid)
            with failures_of_the_host():
                vm = await plan_vm(vm_cid, new, self._networks)
            undo.push_async_callback(quietly, self._forwarding.dismiss, vm_cid)
            blocks = routed_blocks(vm.nics)
            await self._forwarding.admit(vm_cid, vm.addresses, vm.ports, vm.vips, blocks)
            undo.push_async_callback(quietly, clear_away, vm_cid)
            with failures_of_the_host():
                furnished = await self._boots.furnish(vm, stemcell)
                try:
                    made = await self._boots.make(vm, stemcell)
                except CloudError:
                    await self._look_for_room(vm, furnished)
                    raise
                # If the disk is full, both may fail, and the draft's error says why.  Not
                # earlier: the runtime waits for whoever syncs the VM's file system.
                await side_by_side(
                    self._registry.draft(vm, furnished), self._containers.start(vm, made)
                )
                await self._registry.add(vm)
            undo.pop_all()
        self.log.info(
            "created {vm_cid} at {address} from {stemcell_cid}",
            vm_cid=vm_cid,
            address=str(vm.addresses[0]),
            stemcell_cid=stemcell.cid,
        )
        return vm

    async def _look_for_room(self, vm: VM, furnished: Sequence[str]) -> None:
        """
        Say so if the disk is full: whoever failed because of that has words of its own.

        @raise OSError: then.
        """
        try:
            await self._registry.draft(vm, furnished)
        except OSError as error:
            if error.errno == errno.ENOSPC:
                raise

    def warnings(self, new: NewVM) -> list[str]:
        """Return what a call asks for and does not get."""
        differences = self._networks.overruled(new.networks)
        if not new.properties.unknown:
            return differences
        names = ", ".join(new.properties.unknown)
        return [f"cloud_properties {names} mean nothing to this CPI", *differences]


@spanned("addresses and bridges")
async def plan_vm(vm_cid: str, new: NewVM, networks: Networks) -> VM:
    """
    Take the addresses of a new VM, and return what its record will be.

    @raise InvalidArgument: if its networks cannot be had as they are described.
    @raise AddressUnavailable: if an address asked for cannot be had.
    @raise CloudError: if the host fails.  With any error the VM may have addresses.
    """
    leases = await networks.assign(new.networks, vm_cid)
    nics = plan(leases, {network.name: network.settings for network in new.networks})
    # Which name servers there are depends on what could be set up.
    await networks.require([lease.subnet for lease in leases.values()])
    addresses = {name: lease.address for name, lease in leases.items()}
    subnets = {name: networks.with_dns(lease.subnet) for name, lease in leases.items()}
    return VM(
        vm_cid=vm_cid,
        agent_id=new.agent_id,
        stemcell_cid=new.stemcell_cid,
        cloud_properties=new.cloud_properties,
        networks=complete(new.networks, addresses, subnets),
        nics=nics,
        ports=tuple(new.ports),
        env=new.env,
        agent=new.agent,
        created_at=now(),
    )


@contextmanager
def failures_of_the_host() -> Iterator[None]:
    """
    Make an error of the host one that the contract has for create_vm.

    @raise NoDiskSpace: if the disk is full.
    @raise HostShort: if the host has too little of something for the moment.
    @raise VMCreationFailed: if something else failed that has no error of its own.
    """
    try:
        yield
    except CloudError as error:
        if type(error) is CloudError:
            raise VMCreationFailed(str(error)) from error
        raise
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise NoDiskSpace(f"the disk is full: {error}") from error
        if error.errno in PASSING:
            raise HostShort(str(error)) from error
        raise VMCreationFailed(str(error)) from error
