"""The vocabulary between the CPI and the daemon: AMP commands, nothing that acts."""

from __future__ import annotations

import json
from typing import Any, ClassVar

from twisted.protocols import amp

from runc_cpi import errors, wire

# AMP takes the first class that matches, so subclasses go before their bases.
WIRE_ERRORS: dict[type[Exception], bytes] = {
    error: error.__name__.encode("ascii")
    for error in sorted(errors.ALL, key=lambda error: -len(error.__mro__))
}


class JSON(amp.Argument):
    """A JSON value of any size: what AMP cannot hold in one value is cut into parts."""

    def retrieve(self, d: amp.AmpBox, name: bytes, proto: Any) -> bytes | None:
        """
        @raise InvalidArgument: if a value that is not optional is missing.
        """
        value = wire.join(name, d)
        if value is None and not self.optional:
            raise errors.InvalidArgument(f"{name.decode()}: missing")
        return value

    def fromString(self, inString: bytes) -> Any:
        """
        @raise InvalidArgument: if the bytes are not JSON.
        """
        try:
            return wire.loads(inString)
        except ValueError as error:
            raise errors.InvalidArgument(f"not JSON: {error}") from None

    def toBox(
        self, name: bytes, strings: amp.AmpBox, objects: dict[str, Any], proto: Any
    ) -> None:
        """Add C{objects[name]} to C{strings}, cut into parts as needed."""
        value = objects.get(name.decode("ascii"))
        if value is None and self.optional:
            return
        strings.update(wire.split(name, json.dumps(value).encode("utf-8")))


class _Command(amp.Command):
    """
    What all commands share.

    Each carries the Director's C{request_id}; the protocol reads it from the box and
    puts it on every log line, so responders are not bothered with it.
    """

    arguments: ClassVar[list[tuple[bytes, amp.Argument]]] = []
    response: ClassVar[list[tuple[bytes, amp.Argument]]] = []
    errors = WIRE_ERRORS

    def __init_subclass__(cls) -> None:
        cls.arguments = [REQUEST_ID, *cls.arguments]

    @classmethod
    def parseArguments(cls, box: amp.AmpBox, protocol: Any) -> dict[str, Any]:
        """
        Decode the arguments, less the C{request_id} and those that are left out.

        @raise InvalidArgument: if they do not fit the command.
        """
        try:
            arguments: dict[str, Any] = super().parseArguments(box, protocol)
        except KeyError as error:
            raise errors.InvalidArgument(f"missing argument: {error}") from None
        except (ValueError, TypeError) as error:
            raise errors.InvalidArgument(f"malformed argument: {error}") from None
        arguments.pop("request_id", None)
        if arguments.get("confirms", False) is None:
            del arguments["confirms"]
        return arguments


REQUEST_ID = (b"request_id", amp.Unicode(optional=True))
VM_CID = (b"vm_cid", amp.Unicode())
STEMCELL_CID = (b"stemcell_cid", amp.Unicode())
DISK_CID = (b"disk_cid", amp.Unicode())
SNAPSHOT_CID = (b"snapshot_cid", amp.Unicode())
SIZE = (b"size", amp.Integer())
CLOUD_PROPERTIES = (b"cloud_properties", JSON())
METADATA = (b"metadata", JSON())
UPLOAD = (b"upload", amp.Integer())
# The caller will send Confirm; what was made is removed if it hangs up before.
CONFIRMS = (b"confirms", amp.Boolean(optional=True))


class Ping(_Command):
    """Say that the daemon is there, and which version it is."""

    response = [(b"version", amp.Unicode())]


class Confirm(_Command):
    """
    Say that what was made on this connection has been told of, so that it stays.

    A caller sends it once its answer is where it belongs, and need not wait for an answer.
    """

    arguments = [(b"cid", amp.Unicode())]
    requiresAnswer = False


class ImportStemcell(_Command):
    """Make a stemcell of an open image file, passed over a unix socket."""

    # The file is claimed last: one that is left because of another argument is closed
    # with the connection.
    arguments = [CONFIRMS, CLOUD_PROPERTIES, (b"image", amp.Descriptor())]
    response = [STEMCELL_CID]


class FetchStemcell(_Command):
    """Make a stemcell of the OCI image that its C{cloud_properties} name."""

    arguments = [CLOUD_PROPERTIES, CONFIRMS]
    response = [STEMCELL_CID]


class OpenStemcell(_Command):
    """Begin to upload an image; the number is good on this connection alone."""

    arguments = [CLOUD_PROPERTIES]
    response = [UPLOAD]


class WriteStemcell(_Command):
    """
    Pass on the next bytes of an image.

    The answer comes once they are accepted downstream, so a sender that bounds its
    unanswered chunks is slowed to the pace of the disk.
    """

    arguments = [UPLOAD, (b"data", amp.String())]


class CloseStemcell(_Command):
    """End an upload, and make the stemcell of it."""

    arguments = [UPLOAD, CONFIRMS]
    response = [STEMCELL_CID]


class DeleteStemcell(_Command):
    """Delete a stemcell that no VM uses.  Deleting an unknown one succeeds."""

    arguments = [STEMCELL_CID]


class ListStemcells(_Command):
    """Say which stemcells there are."""

    response = [(b"stemcells", JSON())]


class CreateVM(_Command):
    """
    Make and boot a VM.

    C{networks} comes back with the addresses that the VM has.
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
    response = [VM_CID, (b"networks", JSON())]


class DeleteVM(_Command):
    """Stop a VM and forget it.  Deleting an unknown one succeeds."""

    arguments = [VM_CID]


class HasVM(_Command):
    """Say whether there is such a VM, running or not."""

    arguments = [VM_CID]
    response = [(b"exists", amp.Boolean())]


class RebootVM(_Command):
    """Stop a VM if it runs, and boot it again on the same file system."""

    arguments = [VM_CID]


class SetVMMetadata(_Command):
    """Replace what is noted about a VM."""

    arguments = [VM_CID, METADATA]


class CreateDisk(_Command):
    """Make an empty disk of so many MiB."""

    arguments = [SIZE, CLOUD_PROPERTIES, CONFIRMS]
    response = [DISK_CID]


class DeleteDisk(_Command):
    """Delete a disk that no VM has.  Deleting an unknown one succeeds."""

    arguments = [DISK_CID]


class HasDisk(_Command):
    """Say whether there is such a disk."""

    arguments = [DISK_CID]
    response = [(b"exists", amp.Boolean())]


class AttachDisk(_Command):
    """
    Show a disk to a VM; C{hint} is where the VM finds it.

    C{in_settings} has the agent's settings file name it, for agents that the Director
    does not tell.
    """

    arguments = [VM_CID, DISK_CID, (b"in_settings", amp.Boolean())]
    response = [(b"hint", amp.Unicode())]


class DetachDisk(_Command):
    """Take a disk from a VM, wherever the VM has mounted it."""

    arguments = [VM_CID, DISK_CID]


class GetDisks(_Command):
    """Say which disks a VM has."""

    arguments = [VM_CID]
    response = [(b"disk_cids", JSON())]


class ResizeDisk(_Command):
    """Make a disk larger, also while it is in use where the host can do that."""

    arguments = [DISK_CID, SIZE]


class UpdateDisk(_Command):
    """Change the size and the properties of a disk."""

    arguments = [DISK_CID, SIZE, CLOUD_PROPERTIES]


class SnapshotDisk(_Command):
    """Keep a copy of what a disk holds now."""

    arguments = [DISK_CID, METADATA, CONFIRMS]
    response = [SNAPSHOT_CID]


class DeleteSnapshot(_Command):
    """Delete such a copy.  Deleting an unknown one succeeds."""

    arguments = [SNAPSHOT_CID]


class ListDisks(_Command):
    """Say which disks there are."""

    response = [(b"disks", JSON())]


class ListSnapshots(_Command):
    """Say which snapshots there are."""

    response = [(b"snapshots", JSON())]


class SetDiskMetadata(_Command):
    """Replace what is noted about a disk."""

    arguments = [DISK_CID, METADATA]


class Repair(_Command):
    """Make what there is agree with the records, and say what was done for that."""

    response = [(b"done", JSON()), (b"problems", JSON())]


class ListVMs(_Command):
    """Say which VMs there are, and how they are."""

    response = [(b"vms", JSON())]
