"""The contract's methods: what the daemon is asked, and the shape of each result."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from runc_cpi import wire
from runc_cpi.cpi import methods, request
from runc_cpi.cpi.config import CPIConfig
from runc_cpi.cpi.request import Request
from runc_cpi.errors import (
    AddressUnavailable,
    CloudError,
    CPIError,
    DaemonUnreachable,
    HostShort,
    InvalidArgument,
    MethodNotImplemented,
    NoDiskSpace,
    NotSupported,
    StillRunning,
    VMCreationFailed,
    VMCreationFailedForNow,
)

NETWORKS = {"default": {"type": "manual", "ip": "10.0.0.5", "prefix": "32"}}
AGENT: dict[str, Any] = {"mbus": "nats://192.0.2.1:4222", "ntp": [], "blobstore": None}
CREATE_VM = ["agent-1", "stemcell-1", {"cpu": 2}, NETWORKS, ["disk-1"], {"bosh": {}}]


class RecordingClient:
    """Answers as told, and keeps what it was asked."""

    def __init__(self, **answers: dict[bytes, bytes]) -> None:
        self._answers = answers
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def call(self, command: str, **arguments: Any) -> dict[bytes, bytes]:
        """Answer."""
        self.asked.append((command, arguments))
        return self._answers.get(command, {})

    def call_with_file(
        self, command: str, name: str, fd: int, **arguments: Any
    ) -> dict[bytes, bytes]:
        """Read the file, and answer."""
        with open(fd, "rb", closefd=False) as file:
            return self.call(command, **{name: file.read()}, **arguments)

    def send_stream(self, command: str, source: BinaryIO, **arguments: Any) -> None:
        """Read the stream."""
        self.call(command, data=source.read(), **arguments)


def do(
    client: RecordingClient,
    method: str,
    *arguments: Any,
    version: int = 2,
    network_type: str = "unix",
) -> Any:
    """Call a method as the executable does."""
    config = CPIConfig(
        network_type=network_type,
        address="/nowhere",
        tls=None,
        connect_timeout=0,
        agent=AGENT,
    )
    return methods.call(Request(method, list(arguments), {}, version), config, client)  # type: ignore[arg-type]


def created() -> RecordingClient:
    """Return a client that makes every VM and stemcell."""
    resolved = {"default": {**NETWORKS["default"], "dns": ["192.0.2.53"] * 9000}}
    stemcell = {b"stemcell_cid": b"stemcell-9"}
    vm = dict(wire.split(b"networks", json.dumps(resolved).encode()))
    return RecordingClient(
        CreateVM={b"vm_cid": b"vm-1", **vm},
        ImportStemcell=stemcell,
        OpenStemcell={b"upload": b"4"},
        CloseStemcell=stemcell,
    )


def test_info_offers_version_3() -> None:
    """C{info} offers version 3 of the contract, and the formats of stemcells."""
    assert request.info() == {
        "api_version": 3,
        "stemcell_formats": [
            *("warden-tar", "general-tar"),
            *("oci-light", "docker-light", "warden-light"),
        ],
    }


def test_create_vm_passes_everything_on() -> None:
    """The daemon gets all arguments of C{create_vm} by name, and the agent's settings."""
    client = created()
    do(client, "create_vm", *CREATE_VM)
    names = ("agent_id", "stemcell_cid", "cloud_properties", "networks", "disk_cids", "env")
    assert client.asked == [
        ("CreateVM", {**dict(zip(names, CREATE_VM, strict=True)), "agent": AGENT})
    ]


@pytest.mark.parametrize("version", [2, 3])
def test_create_vm_returns_networks(version: int) -> None:
    """Since version 2 C{create_vm} returns the networks, however large they are."""
    vm_cid, networks = do(created(), "create_vm", *CREATE_VM, version=version)
    assert vm_cid == "vm-1"
    assert len(networks["default"]["dns"]) == 9000


def test_create_vm_of_version_1_returns_the_cid_alone() -> None:
    """In version 1 C{create_vm} returns the cid alone."""
    assert do(created(), "create_vm", *CREATE_VM, version=1) == "vm-1"


@pytest.mark.parametrize("tail", [[], [None], [None, None], [[], {}]])
def test_create_vm_without_disks_and_env(tail: list[Any]) -> None:
    """Disks and env may be left out or null, as old CLIs send it."""
    client = created()
    do(client, "create_vm", *CREATE_VM[:4], *tail)
    ((_, asked),) = client.asked
    assert (asked["disk_cids"], asked["env"]) == ([], {})


@pytest.mark.parametrize(
    ("version", "env"), [(1, []), (2, []), (3, [{"tags": {"a": "b"}}]), (3, [{}])]
)
def test_create_stemcell_on_a_unix_socket(tmp_path: Path, version: int, env: Any) -> None:
    """On a unix socket the open image is passed; version 3 adds tags, which are ignored."""
    client = created()
    image = tmp_path / "image"
    image.write_bytes(b"an image")
    result = do(client, "create_stemcell", str(image), {"name": "x"}, *env, version=version)
    assert result == "stemcell-9"
    assert client.asked == [
        ("ImportStemcell", {"image": b"an image", "cloud_properties": {"name": "x"}})
    ]


def test_create_stemcell_on_tcp(tmp_path: Path) -> None:
    """On TCP the bytes of the image are sent between an opening and a closing call."""
    client = created()
    image = tmp_path / "image"
    image.write_bytes(b"an image")
    assert do(client, "create_stemcell", str(image), {}, network_type="tcp") == "stemcell-9"
    assert client.asked == [
        ("OpenStemcell", {"cloud_properties": {}, "size": 8}),
        ("WriteStemcell", {"data": b"an image", "upload": 4}),
        ("CloseStemcell", {"upload": 4}),
    ]


@pytest.mark.parametrize("has_it", [True, False])
def test_an_image_whose_size_the_daemon_knows(tmp_path: Path, has_it: bool) -> None:
    """The daemon is told its digest; only if it has another image, all bytes follow."""
    made = {b"stemcell_cid": b"stemcell-9"}
    client = RecordingClient(
        OpenStemcell={b"upload": b"4", b"wants_digest": b"True"},
        NameStemcell=made if has_it else {},
        CloseStemcell=made,
    )
    image = tmp_path / "image"
    image.write_bytes(b"an image")
    assert do(client, "create_stemcell", str(image), {}, network_type="tcp") == "stemcell-9"
    digest = "sha256:" + sha256(b"an image").hexdigest()
    named = ("NameStemcell", {"upload": 4, "digest": digest, "size": 8})
    sent = ("WriteStemcell", {"data": b"an image", "upload": 4})
    assert client.asked[1:3] == [named] + ([] if has_it else [sent])


@pytest.mark.parametrize("network_type", ["unix", "tcp"])
def test_an_image_that_cannot_be_read(tmp_path: Path, network_type: str) -> None:
    """The error for an unreadable image names its path; the daemon is not called."""
    client = created()
    for path, reason in [
        (tmp_path / "none", "No such file"),
        (tmp_path, "not an ordinary file"),
    ]:
        with pytest.raises(InvalidArgument, match=f"^image_path: {path}: {reason}"):
            do(client, "create_stemcell", str(path), {}, network_type=network_type)
    assert client.asked == []


@pytest.mark.parametrize(
    ("method", "arguments", "command", "sent"),
    [
        ("ping", [], "Ping", {}),
        ("delete_stemcell", ["s-1"], "DeleteStemcell", {"stemcell_cid": "s-1"}),
        ("delete_vm", ["vm-1"], "DeleteVM", {"vm_cid": "vm-1"}),
        ("reboot_vm", ["vm-1"], "RebootVM", {"vm_cid": "vm-1"}),
        (
            "set_vm_metadata",
            ["vm-1", {"job": "db"}],
            "SetVMMetadata",
            {"vm_cid": "vm-1", "metadata": {"job": "db"}},
        ),
        (
            "set_disk_metadata",
            ["d-1", {}],
            "SetDiskMetadata",
            {"disk_cid": "d-1", "metadata": {}},
        ),
    ],
)
@pytest.mark.parametrize("version", [1, 2, 3])
def test_methods_without_a_result(
    method: str, arguments: list[Any], command: str, sent: dict[str, Any], version: int
) -> None:
    """A method without a result calls the daemon once; C{ping} returns pong."""
    client = RecordingClient()
    result = do(client, method, *arguments, version=version)
    assert result == ("pong" if method == "ping" else None)
    assert client.asked == [(command, sent)]


@pytest.mark.parametrize(("answer", "result"), [(b"True", True), (b"False", False)])
def test_has_vm_returns_a_boolean(answer: bytes, result: bool) -> None:
    """C{has_vm} returns true or false, as the CLI insists."""
    assert do(RecordingClient(HasVM={b"exists": answer}), "has_vm", "vm-1") is result


def test_calculated_cloud_properties_can_be_used() -> None:
    """C{calculate_vm_cloud_properties} returns properties of this CPI without a call."""
    client = RecordingClient()
    wanted = {"cpu": 2, "ram": 4096, "ephemeral_disk_size": 10000}
    assert do(client, "calculate_vm_cloud_properties", wanted) == wanted
    assert client.asked == []


def test_configure_networks_is_not_supported() -> None:
    """C{configure_networks} is refused, as only version 1 of the contract has it."""
    with pytest.raises(NotSupported, match="configure_networks"):
        do(RecordingClient(), "configure_networks", "vm-1", {})


@pytest.mark.parametrize(
    "method", ["frobnicate", "_take", "_vm_cid", "__init__", "__class__", "call", "Ping"]
)
def test_other_methods_are_not_implemented(method: str) -> None:
    """Unknown methods are not implemented, nor are names that only Python knows."""
    with pytest.raises(MethodNotImplemented, match=f"no method '{method}'"):
        methods.check(method)


@pytest.mark.parametrize(
    ("command", "method", "arguments"),
    [
        ("CreateVM", "create_vm", CREATE_VM),
        ("HasVM", "has_vm", ["vm-1"]),
    ],
)
def test_an_answer_that_lacks_something_is_an_error_of_the_host(
    command: str, method: str, arguments: list[Any]
) -> None:
    """An answer without an expected field is a C{CloudError}, not an internal error."""
    with pytest.raises(CPIError) as caught:
        do(RecordingClient(**{command: {}}), method, *arguments)
    assert caught.value.bosh_type == "Bosh::Clouds::CloudError"


class FailingClient(RecordingClient):
    """Fails each call."""

    def __init__(self, error: CPIError) -> None:
        super().__init__()
        self._error = error

    def call(self, command: str, **arguments: Any) -> dict[bytes, bytes]:
        """Fail."""
        raise self._error


@pytest.mark.parametrize("kind", [DaemonUnreachable, HostShort, NoDiskSpace, StillRunning])
def test_what_passes_is_worth_another_create_vm(kind: type[CPIError]) -> None:
    """The director is told to make the call again; of other methods all stays as it is."""
    with pytest.raises(VMCreationFailedForNow, match="^for the moment$"):
        do(FailingClient(kind("for the moment")), "create_vm", *CREATE_VM)
    with pytest.raises(kind) as caught:
        do(FailingClient(kind("for the moment")), "has_vm", "vm-1")
    assert type(caught.value) is kind


@pytest.mark.parametrize(
    "kind", [InvalidArgument, CloudError, AddressUnavailable, VMCreationFailed]
)
def test_what_stays_is_not(kind: type[CPIError]) -> None:
    """What would fail again stays as it is."""
    with pytest.raises(kind) as caught:
        do(FailingClient(kind("for ever")), "create_vm", *CREATE_VM)
    assert type(caught.value) is kind


def test_create_network_returns_what_the_director_stores() -> None:
    """The result of C{create_network} is the cid, the addresses and the properties."""
    addresses = {"range": "10.1.0.0/24", "gateway": "10.1.0.1", "reserved": []}
    client = RecordingClient(
        CreateNetwork={
            b"network_cid": b"network-1",
            b"addresses": json.dumps(addresses).encode(),
            b"cloud_properties": b'{"name": "lan"}',
        }
    )
    definition = {"type": "manual", "range": "10.1.0.0/24", "cloud_properties": {}}
    result = do(client, "create_network", definition)
    assert result == ["network-1", addresses, {"name": "lan"}]
    assert client.asked == [("CreateNetwork", {"subnet_definition": definition})]


def test_delete_network_has_no_result() -> None:
    """C{delete_network} passes the cid on, and its result is null."""
    client = RecordingClient()
    assert do(client, "delete_network", "network-1") is None
    assert client.asked == [("DeleteNetwork", {"network_cid": "network-1"})]
