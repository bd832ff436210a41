"""Commands about VMs."""

from __future__ import annotations

from twisted.protocols import amp

from runc_cpi.daemon.rpc.commands.base import (
    CLOUD_PROPERTIES,
    CONFIRMS,
    JSON,
    METADATA,
    STEMCELL_CID,
    VM_CID,
    Command,
)


class CreateVM(Command):
    """
    Make and boot a VM.

    C{networks} comes back with the addresses that the VM has, and C{warnings} with texts
    about what was asked for and cannot be had.
    """

    arguments = [
        (b"agent_id", amp.Unicode()),
        STEMCELL_CID,
        CLOUD_PROPERTIES,
        (b"networks", JSON()),
        (b"disk_cids", JSON()),
        (b"env", JSON()),
        (b"agent", JSON()),
        CONFIRMS,
    ]
    response = [VM_CID, (b"networks", JSON()), (b"warnings", JSON(optional=True))]


class DeleteVM(Command):
    """Stop a VM and forget it.  Deleting an unknown one succeeds."""

    arguments = [VM_CID]


class HasVM(Command):
    """Say whether there is such a VM, running or not."""

    looks = True
    arguments = [VM_CID]
    response = [(b"exists", amp.Boolean())]


class RebootVM(Command):
    """Stop a VM if it runs, and boot it again on the same file system."""

    arguments = [VM_CID]


class SetVMMetadata(Command):
    """Replace what is noted about a VM."""

    arguments = [VM_CID, METADATA]


class ListVMs(Command):
    """Say which VMs there are, and how they are."""

    looks = True
    is_event = False
    response = [(b"vms", JSON())]
