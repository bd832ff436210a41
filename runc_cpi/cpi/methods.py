"""The contract's methods: arguments checked, the daemon called, the result shaped."""

from __future__ import annotations

from runc_cpi import wire
from runc_cpi.cpi.arguments import (
    amount,
    mapping,
    mapping_or_none,
    secret_mapping_or_none,
    take,
    text,
    text_or_none,
    texts_or_none,
)
from runc_cpi.errors import (
    CloudError,
    MethodNotImplemented,
    NoDiskSpace,
    NotSupported,
    VMCreationFailedForNow,
)
from runc_cpi.json_text import loads_trusted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from runc_cpi.cpi.client import Client
    from runc_cpi.cpi.config import CPIConfig
    from runc_cpi.cpi.request import Request

# The commands that make something, each with the name of its cid in the answer.
MAKING = {
    "ImportStemcell": b"stemcell_cid",
    "FetchStemcell": b"stemcell_cid",
    "NameStemcell": b"stemcell_cid",
    "CloseStemcell": b"stemcell_cid",
    "CreateVM": b"vm_cid",
    "CreateDisk": b"disk_cid",
    "SnapshotDisk": b"snapshot_cid",
    "CreateNetwork": b"network_cid",
}


class Methods:
    """
    Every method with its contract name.

    @param request: the call.
    @param config: whom to call, and what agents are told.
    @param client: calls the daemon.
    """

    def __init__(self, request: Request, config: CPIConfig, client: Client) -> None:
        self._request, self._config, self._client = request, config, client

    def ping(self) -> str:
        """See whether the daemon is there."""
        self._take()
        self._client.call("Ping")
        return "pong"

    def create_stemcell(self) -> str:
        """Send the image, and return the stemcell's cid."""
        # Version 3 of the contract adds env, which only holds tags.
        path, cloud_properties, _ = self._take(
            ("image_path", text),
            ("cloud_properties", mapping_or_none),
            ("env", secret_mapping_or_none),
            optional=1,
        )
        if "image_reference" in cloud_properties:
            # A light stemcell: its image is elsewhere, and the file that came is empty.
            answer = self._client.call("FetchStemcell", cloud_properties=cloud_properties)
            return self._made(answer, "stemcell_cid")
        from runc_cpi.cpi import images

        with images.opened(path) as image:
            if self._config.network_type == "unix":
                answer = self._client.call_with_file(
                    "ImportStemcell",
                    "image",
                    image.fileno(),
                    cloud_properties=cloud_properties,
                )
            else:
                size = image.seek(0, 2)
                image.seek(0)
                answer = images.send(self._client, image, size, cloud_properties)
        return self._made(answer, "stemcell_cid")

    def delete_stemcell(self) -> None:
        """Delete a stemcell."""
        (stemcell_cid,) = self._take(("stemcell_cid", text))
        self._client.call("DeleteStemcell", stemcell_cid=stemcell_cid)

    def create_vm(self) -> Any:
        """Make a VM; return its cid and, since version 2, its networks."""
        names = ("agent_id", "stemcell_cid", "cloud_properties", "networks")
        values = self._take(
            ("agent_id", text),
            ("stemcell_cid", text),
            ("cloud_properties", mapping_or_none),
            ("networks", mapping),
            ("disk_cids", texts_or_none),
            ("env", secret_mapping_or_none),
            optional=2,
        )
        arguments = dict(zip((*names, "disk_cids", "env"), values))
        try:
            answer = self._client.call("CreateVM", agent=self._config.agent, **arguments)
        except CloudError as error:
            # The Director looks at ok_to_retry of this type alone (its CreateVmStep).
            # Room for a VM is often made meanwhile: others are being deleted.
            if error.ok_to_retry or isinstance(error, NoDiskSpace):
                raise VMCreationFailedForNow(str(error)) from None
            raise
        vm_cid = self._made(answer, "vm_cid")
        if self._request.api_version == 1:
            return vm_cid
        return [vm_cid, loads_trusted(wire.join(b"networks", answer) or b"{}")]

    def delete_vm(self) -> None:
        """Delete a VM."""
        self._client.call("DeleteVM", vm_cid=self._vm_cid())

    def has_vm(self) -> bool:
        """Say whether there is such a VM."""
        return self._client.call("HasVM", vm_cid=self._vm_cid())[b"exists"] == b"True"

    def reboot_vm(self) -> None:
        """Reboot a VM."""
        self._client.call("RebootVM", vm_cid=self._vm_cid())

    def _vm_cid(self) -> str:
        (vm_cid,) = self._take(("vm_cid", text))
        return str(vm_cid)

    def set_vm_metadata(self) -> None:
        """Note something about a VM."""
        vm_cid, metadata = self._take(("vm_cid", text), ("metadata", mapping))
        self._client.call("SetVMMetadata", vm_cid=vm_cid, metadata=metadata)

    def create_disk(self) -> str:
        """Make a disk; the VM it is meant for makes no difference on one host."""
        size, cloud_properties, _ = self._take(
            ("size", amount),
            ("cloud_properties", mapping_or_none),
            ("vm_cid", text_or_none),
            optional=2,
        )
        answer = self._client.call(
            "CreateDisk", size=size, cloud_properties=cloud_properties
        )
        return self._made(answer, "disk_cid")

    def delete_disk(self) -> None:
        """Delete a disk."""
        self._client.call("DeleteDisk", disk_cid=self._disk_cid())

    def has_disk(self) -> bool:
        """Say whether there is such a disk."""
        answer = self._client.call("HasDisk", disk_cid=self._disk_cid())
        return answer[b"exists"] == b"True"

    def attach_disk(self) -> Any:
        """Attach a disk; since version 2 the result says where the VM finds it."""
        vm_cid, disk_cid = self._take(("vm_cid", text), ("disk_cid", text))
        told = self._request.agent_is_told
        answer = self._client.call(
            "AttachDisk", vm_cid=vm_cid, disk_cid=disk_cid, in_settings=not told
        )
        return None if self._request.api_version == 1 else _text(answer, b"hint")

    def detach_disk(self) -> None:
        """Detach a disk."""
        vm_cid, disk_cid = self._take(("vm_cid", text), ("disk_cid", text))
        self._client.call("DetachDisk", vm_cid=vm_cid, disk_cid=disk_cid)

    def get_disks(self) -> Any:
        """Return the disks of a VM."""
        answer = self._client.call("GetDisks", vm_cid=self._vm_cid())
        return loads_trusted(wire.join(b"disk_cids", answer) or b"[]")

    def resize_disk(self) -> None:
        """Make a disk larger."""
        disk_cid, size = self._take(("disk_cid", text), ("new_size", amount))
        self._client.call("ResizeDisk", disk_cid=disk_cid, size=size)

    def update_disk(self) -> None:
        """Change a disk in place; the result is null, as its cid stays."""
        disk_cid, size, cloud_properties = self._take(
            ("disk_cid", text),
            ("new_size", amount),
            ("cloud_properties", mapping_or_none),
        )
        self._client.call(
            "UpdateDisk", disk_cid=disk_cid, size=size, cloud_properties=cloud_properties
        )

    def snapshot_disk(self) -> str:
        """Keep what a disk holds now."""
        disk_cid, metadata = self._take(
            ("disk_cid", text), ("metadata", mapping_or_none), optional=1
        )
        answer = self._client.call("SnapshotDisk", disk_cid=disk_cid, metadata=metadata)
        return self._made(answer, "snapshot_cid")

    def delete_snapshot(self) -> None:
        """Delete a snapshot."""
        (snapshot_cid,) = self._take(("snapshot_cid", text))
        self._client.call("DeleteSnapshot", snapshot_cid=snapshot_cid)

    def _disk_cid(self) -> str:
        (disk_cid,) = self._take(("disk_cid", text))
        return str(disk_cid)

    def set_disk_metadata(self) -> None:
        """Note something about a disk."""
        disk_cid, metadata = self._take(("disk_cid", text), ("metadata", mapping))
        self._client.call("SetDiskMetadata", disk_cid=disk_cid, metadata=metadata)

    def create_network(self) -> Any:
        """Make a network; the result is what the Director stores of it."""
        (definition,) = self._take(("subnet_definition", mapping))
        answer = self._client.call("CreateNetwork", subnet_definition=definition)
        names = (b"addresses", b"cloud_properties")
        told = [loads_trusted(wire.join(name, answer) or b"{}") for name in names]
        return [_text(answer, b"network_cid"), *told]

    def delete_network(self) -> None:
        """Delete a network."""
        (network_cid,) = self._take(("network_cid", text))
        self._client.call("DeleteNetwork", network_cid=network_cid)

    def calculate_vm_cloud_properties(self) -> Any:
        """Turn C{vm_resources} into C{cloud_properties} that create_vm keeps to."""
        (wanted,) = self._take(("vm_resources", mapping))
        return {
            name: amount(f"vm_resources.{name}", wanted.get(name))
            for name in ("cpu", "ram", "ephemeral_disk_size")
        }

    def configure_networks(self) -> None:
        """Refuse: the contract dropped it with version 2."""
        raise NotSupported("configure_networks: a VM's networks are set when it is made")

    def _take(self, *expected: Any, optional: int = 0) -> Any:
        request = self._request
        values = take(request.method, request.arguments, *expected, optional=optional)
        for (name, _), value in zip(expected, values):
            if name.endswith("_cid") and value is not None:
                request.cids[name] = value
        return values

    def _made(self, answer: Any, name: str) -> str:
        """Return the cid of what was made, from the daemon's answer."""
        self._request.cids[name] = cid = _text(answer, name.encode("ascii"))
        return cid


def check(method: str) -> None:
    """
    @raise MethodNotImplemented: if there is no such method.
    """
    if method.startswith("_") or method not in vars(Methods):
        raise MethodNotImplemented(f"there is no method {method!r}")


def call(request: Request, config: CPIConfig, client: Client) -> Any:
    """
    Carry out a request.

    @return: its result, in the shape of the version asked for.
    @raise CPIError: why it cannot be carried out.
    """
    try:
        return getattr(Methods(request, config, client), request.method)()
    except KeyError as error:
        message = f"runc-cpid's answer to {request.method} lacks {error}"
        raise CloudError(message) from None


def _text(answer: Any, name: bytes) -> str:
    return str(answer[name], "utf-8")
