"""Steps of create_vm: the record of a new VM, and what the caller is told of a failure."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from twisted.internet.threads import deferToThread

from runc_cpi.daemon.base.calls import spanned
from runc_cpi.daemon.base.shortage import PASSING
from runc_cpi.daemon.base.timestamps import now
from runc_cpi.daemon.networks.networks import Networks
from runc_cpi.daemon.networks.planning import plan
from runc_cpi.daemon.networks.settings import complete
from runc_cpi.daemon.storage.bundle import Bundle
from runc_cpi.daemon.storage.records import sync_file, write_draft
from runc_cpi.daemon.vms.new_vm import NewVM
from runc_cpi.daemon.vms.vm import VM
from runc_cpi.errors import CloudError, HostShort, NoDiskSpace, VMCreationFailed


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


@spanned("draft of the record")
async def draft_record(bundle: Bundle, vm: VM) -> None:
    """
    Have on the disk what there must be of a new VM before it has a record.

    @param bundle: its root disk is made, if it gets one.
    @raise OSError: if the disk fails, or is full.
    """
    await deferToThread(_draft_record, bundle, vm)


def _draft_record(bundle: Bundle, vm: VM) -> None:
    if bundle.root_image.exists():
        sync_file(bundle.root_image)
    write_draft(bundle.record, vm.to_json())


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
