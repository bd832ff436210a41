"""Commands about disks and their snapshots."""

from __future__ import annotations

from twisted.protocols import amp

from runc_cpi.daemon.rpc.commands.base import (
    CLOUD_PROPERTIES,
    CONFIRMS,
    DISK_CID,
    JSON,
    METADATA,
    VM_CID,
    Command,
)

SNAPSHOT_CID = (b"snapshot_cid", amp.Unicode())
SIZE = (b"size", amp.Integer())  # MiB


class CreateDisk(Command):
    """Make an empty disk of so many MiB."""

    arguments = [SIZE, CLOUD_PROPERTIES, CONFIRMS]
    response = [DISK_CID]


class DeleteDisk(Command):
    """Delete a disk that no VM has.  Deleting an unknown one succeeds."""

    arguments = [DISK_CID]


class HasDisk(Command):
    """Say whether there is such a disk."""

    looks = True
    arguments = [DISK_CID]
    response = [(b"exists", amp.Boolean())]


class AttachDisk(Command):
    """
    Show a disk to a VM; C{hint} is where the VM finds it.

    C{in_settings} has the agent's settings file name it, for agents that the Director
    does not tell.
    """

    arguments = [VM_CID, DISK_CID, (b"in_settings", amp.Boolean())]
    response = [(b"hint", amp.Unicode())]


class DetachDisk(Command):
    """Take a disk from a VM, wherever the VM has mounted it."""

    arguments = [VM_CID, DISK_CID]


class GetDisks(Command):
    """Say which disks a VM has."""

    looks = True
    arguments = [VM_CID]
    response = [(b"disk_cids", JSON())]


class ResizeDisk(Command):
    """Make a disk larger, also while it is in use where the host can do that."""

    arguments = [DISK_CID, SIZE]


class UpdateDisk(Command):
    """Change the size and the properties of a disk."""

    arguments = [DISK_CID, SIZE, CLOUD_PROPERTIES]


class SetDiskMetadata(Command):
    """Replace what is noted about a disk."""

    arguments = [DISK_CID, METADATA]


class ListDisks(Command):
    """Say which disks there are."""

    looks = True
    is_event = False
    response = [(b"disks", JSON())]


class SnapshotDisk(Command):
    """Keep a copy of what a disk holds now."""

    arguments = [DISK_CID, METADATA, CONFIRMS]
    response = [SNAPSHOT_CID]


class DeleteSnapshot(Command):
    """Delete such a copy.  Deleting an unknown one succeeds."""

    arguments = [SNAPSHOT_CID]


class ListSnapshots(Command):
    """Say which snapshots there are."""

    looks = True
    is_event = False
    response = [(b"snapshots", JSON())]
