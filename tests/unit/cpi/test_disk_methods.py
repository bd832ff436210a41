"""Methods of the contract about disks: what the daemon is asked, and what comes back."""

from __future__ import annotations

from typing import Any

import pytest

from runc_cpi import wire
from runc_cpi.cpi import methods
from runc_cpi.cpi.request import Request
from runc_cpi.errors import CloudError, InvalidArgument
from tests.unit.cpi.test_methods import RecordingClient, do

IDS = {"vm_cid": "vm-1", "disk_cid": "disk-1"}
VERSIONS = pytest.mark.parametrize("version", [1, 2, 3])


@VERSIONS
@pytest.mark.parametrize(
    "arguments", [[64], [64, None], [64, {}], [64, {}, None], [64, {}, "vm-1"]]
)
def test_create_disk(version: int, arguments: list[Any]) -> None:
    """The VM that a disk is meant for may be left out, and makes no difference."""
    client = RecordingClient(CreateDisk={b"disk_cid": b"disk-1"})
    assert do(client, "create_disk", *arguments, version=version) == "disk-1"
    assert client.asked == [("CreateDisk", {"size": 64, "cloud_properties": {}})]


@VERSIONS
@pytest.mark.parametrize(
    ("method", "arguments", "command", "sent"),
    [
        ("delete_disk", ["disk-1"], "DeleteDisk", {"disk_cid": "disk-1"}),
        ("detach_disk", ["vm-1", "disk-1"], "DetachDisk", IDS),
        ("resize_disk", ["disk-1", 64], "ResizeDisk", {"disk_cid": "disk-1", "size": 64}),
        (
            "update_disk",
            ["disk-1", 64, {"type": "x"}],
            "UpdateDisk",
            {"disk_cid": "disk-1", "size": 64, "cloud_properties": {"type": "x"}},
        ),
        ("delete_snapshot", ["s-1"], "DeleteSnapshot", {"snapshot_cid": "s-1"}),
    ],
)
def test_methods_without_a_result(
    version: int, method: str, arguments: list[Any], command: str, sent: dict[str, Any]
) -> None:
    """A method without a result calls the daemon once and returns null."""
    client = RecordingClient()
    assert do(client, method, *arguments, version=version) is None
    assert client.asked == [(command, sent)]


@pytest.mark.parametrize(("answer", "result"), [(b"True", True), (b"False", False)])
def test_has_disk(answer: bytes, result: bool) -> None:
    """C{has_disk} returns true or false, as the CLI insists."""
    assert do(RecordingClient(HasDisk={b"exists": answer}), "has_disk", "d") is result


@pytest.mark.parametrize(
    ("version", "stemcell", "result", "in_settings"),
    [
        (1, None, None, True),
        (1, 3, None, True),
        (2, None, "/dev/disk-1", False),
        (2, 1, "/dev/disk-1", True),
        (2, 2, "/dev/disk-1", False),
        (3, 3, "/dev/disk-1", False),
    ],
)
def test_attach_disk(
    version: int, stemcell: int | None, result: str | None, in_settings: bool
) -> None:
    """
    C{attach_disk} returns the hint since version 2; old agents find it in their
    settings.
    """
    client: Any = RecordingClient(AttachDisk={b"hint": b"/dev/disk-1"})
    context = {} if stemcell is None else {"vm": {"stemcell": {"api_version": stemcell}}}
    request = Request("attach_disk", ["vm-1", "disk-1"], context, version)
    assert methods.call(request, None, client) == result  # type: ignore[arg-type]
    assert client.asked == [("AttachDisk", {**IDS, "in_settings": in_settings})]


@pytest.mark.parametrize(
    "text", [b"[]", b'["disk-1", "disk-2"]', b'["' + b"x" * 70_000 + b'"]']
)
def test_get_disks(text: bytes) -> None:
    """C{get_disks} returns a list of cids, however long."""
    client = RecordingClient(GetDisks=dict(wire.split(b"disk_cids", text)))
    found = do(client, "get_disks", "vm-1")
    assert isinstance(found, list)
    assert all(isinstance(disk_cid, str) for disk_cid in found)


@pytest.mark.parametrize("metadata", [[], [None], [{}]])
def test_snapshot_disk(metadata: list[Any]) -> None:
    """The metadata of a snapshot may be left out."""
    client = RecordingClient(SnapshotDisk={b"snapshot_cid": b"snapshot-1"})
    assert do(client, "snapshot_disk", "disk-1", *metadata) == "snapshot-1"
    assert client.asked == [("SnapshotDisk", {"disk_cid": "disk-1", "metadata": {}})]


@pytest.mark.parametrize("network_type", ["unix", "tcp"])
def test_a_light_stemcell(network_type: str) -> None:
    """The image file of a light stemcell is not opened."""
    properties = {"image_reference": "docker://x", "name": "y"}
    client = RecordingClient(FetchStemcell={b"stemcell_cid": b"stemcell-1"})
    result = do(
        client, "create_stemcell", "/no/such", properties, network_type=network_type
    )
    assert result == "stemcell-1"
    assert client.asked == [("FetchStemcell", {"cloud_properties": properties})]


@pytest.mark.parametrize("image", ["/dev/zero", "/dev/null", "/"])
def test_an_image_that_is_no_file(image: str) -> None:
    """An image that is no ordinary file is refused, as reading it may never end."""
    with pytest.raises(InvalidArgument, match=f"^image_path: {image}: not an ord"):
        do(RecordingClient(), "create_stemcell", image, {})


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("create_disk", [64, {}]),
        ("has_disk", ["d"]),
        ("attach_disk", ["vm-1", "d"]),
        ("snapshot_disk", ["d", {}]),
    ],
)
def test_an_answer_that_lacks_something(method: str, arguments: list[Any]) -> None:
    """An answer without an expected field is a C{CloudError} that names the field."""
    with pytest.raises(CloudError, match=f"answer to {method} lacks"):
        do(RecordingClient(), method, *arguments)
