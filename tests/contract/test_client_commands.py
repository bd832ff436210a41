"""
The executable's client against the daemon's own command definitions.

Both define one vocabulary in two ways; a real connection shows that they agree.
"""

from __future__ import annotations

import json
import os
from typing import Any

from twisted.protocols import amp

from runc_cpi import wire
from runc_cpi.daemon.rpc.commands.base import JSON
from tests.contract.peers import COMMANDS, Recorder, ServedTestCase

NETWORKS = {"n": {"type": "manual", "ip": "10.0.0.2", "dns": ["192.0.2.1"]}}
CREATE_VM = {
    "agent_id": "agent-1",
    "stemcell_cid": "stemcell-1",
    "cloud_properties": {"cpu": 0.5, "ram": None},
    "networks": NETWORKS,
    "disk_cids": ["disk-1"],
    "env": {"\u2603": ["\ud800", True, 1.5, -7, {}, None]},
    "agent": {"mbus": None, "ntp": []},
}
# Each command: what the client sends, what the responder answers, what comes back.
CALLS: dict[str, tuple[dict[str, Any], dict[str, Any], dict[bytes, bytes]]] = {
    "Ping": ({}, {"version": "1.2"}, {b"version": b"1.2"}),
    "Confirm": ({"cid": "vm-1"}, {}, {}),
    "FetchStemcell": (
        {"cloud_properties": {"image_reference": "docker://x"}},
        {"stemcell_cid": "s"},
        {b"stemcell_cid": b"s"},
    ),
    "OpenStemcell": (
        {"cloud_properties": {"name": "x"}},
        {"upload": 12, "wants_digest": False},
        {b"upload": b"12", b"wants_digest": b"False"},
    ),
    "WriteStemcell": ({"upload": 12, "data": bytes(range(256)) * 255}, {}, {}),
    "CloseStemcell": ({"upload": 12}, {"stemcell_cid": "s"}, {b"stemcell_cid": b"s"}),
    "DeleteStemcell": ({"stemcell_cid": "s"}, {}, {}),
    "ListStemcells": ({}, {"stemcells": []}, {b"stemcells": b"[]"}),
    "CreateVM": (
        CREATE_VM,
        {"vm_cid": "vm-1", "networks": {}},
        {b"vm_cid": b"vm-1", b"networks": b"{}"},
    ),
    "DeleteVM": ({"vm_cid": "vm-\u2603"}, {}, {}),
    "HasVM": ({"vm_cid": "vm-1"}, {"exists": True}, {b"exists": b"True"}),
    "RebootVM": ({"vm_cid": "vm-1"}, {}, {}),
    "SetVMMetadata": ({"vm_cid": "vm-1", "metadata": {"job": "db"}}, {}, {}),
    "CreateDisk": (
        {"size": 1 << 40, "cloud_properties": {"filesystem": "xfs"}},
        {"disk_cid": "d"},
        {b"disk_cid": b"d"},
    ),
    "DeleteDisk": ({"disk_cid": "d"}, {}, {}),
    "HasDisk": ({"disk_cid": "d"}, {"exists": False}, {b"exists": b"False"}),
    "AttachDisk": (
        {"vm_cid": "vm-1", "disk_cid": "d", "in_settings": True},
        {"hint": "/dev/d"},
        {b"hint": b"/dev/d"},
    ),
    "DetachDisk": ({"vm_cid": "vm-1", "disk_cid": "d"}, {}, {}),
    "GetDisks": ({"vm_cid": "vm-1"}, {"disk_cids": ["d"]}, {b"disk_cids": b'["d"]'}),
    "ResizeDisk": ({"disk_cid": "d", "size": 2048}, {}, {}),
    "UpdateDisk": ({"disk_cid": "d", "size": 2048, "cloud_properties": {}}, {}, {}),
    "SnapshotDisk": (
        {"disk_cid": "d", "metadata": {"job": "db"}},
        {"snapshot_cid": "snapshot-1"},
        {b"snapshot_cid": b"snapshot-1"},
    ),
    "DeleteSnapshot": ({"snapshot_cid": "snapshot-1"}, {}, {}),
    "ListDisks": ({}, {"disks": []}, {b"disks": b"[]"}),
    "ListSnapshots": ({}, {"snapshots": []}, {b"snapshots": b"[]"}),
    "SetDiskMetadata": ({"disk_cid": "d", "metadata": {}}, {}, {}),
    "Repair": (
        {},
        {"done": ["a"], "problems": []},
        {b"done": b'["a"]', b"problems": b"[]"},
    ),
    "ListVMs": ({}, {"vms": [{"a": 1}]}, {b"vms": b'[{"a": 1}]'}),
}
# A value of each kind: what the client sends or the responder answers, and its bytes.
SAMPLES: dict[type[amp.Argument], tuple[Any, bytes]] = {
    amp.Unicode: ("\u2603", "\u2603".encode()),
    amp.Integer: (1 << 40, b"1099511627776"),
    amp.Boolean: (True, b"True"),
    amp.String: (b"\0\xff", b"\0\xff"),
    JSON: ({"a": [1]}, b'{"a": [1]}'),
}


def from_definition(
    command: type[amp.Command],
) -> tuple[dict[str, Any], dict[str, Any], dict[bytes, bytes]]:
    """Make the row of C{CALLS} of a command that has none, from its definition."""
    given, answered = (
        {
            name: SAMPLES[type(kind)]
            for name, kind in described
            if not kind.optional and type(kind) in SAMPLES
        }
        for described in (command.arguments, command.response)
    )
    return (
        {name.decode(): value for name, (value, _) in given.items()},
        {name.decode(): value for name, (value, _) in answered.items()},
        {name: encoded for name, (_, encoded) in answered.items()},
    )


# The one with a file has tests of its own.
ALL_CALLS = {
    name: CALLS.get(name) or from_definition(command)
    for name, command in COMMANDS.items()
    if name != "ImportStemcell"
}


class CommandsTests(ServedTestCase):
    """Each command of the vocabulary, byte for byte."""

    def setUp(self) -> None:
        super().setUp()
        self.received: list[tuple[str, dict[str, Any]]] = []
        self.answers: dict[str, Any] = {}

    def protocol(self) -> amp.AMP:
        """Record what comes."""
        return Recorder(self.received, self.answers)

    def test_all_commands_are_tried(self) -> None:
        """Every command is tried on a connection, and no other is described here."""
        self.assertEqual(ALL_CALLS.keys() | {"ImportStemcell"}, COMMANDS.keys())
        self.assertLessEqual(CALLS.keys(), COMMANDS.keys())

    def test_a_row_that_is_made(self) -> None:
        """A command without a row of its own is tried with a value for each argument."""
        for name, command in COMMANDS.items():
            arguments, answer, box = from_definition(command)
            if name in CALLS:
                self.assertEqual(arguments.keys(), CALLS[name][0].keys())
                self.assertEqual(answer.keys(), CALLS[name][1].keys())
                self.assertEqual(box.keys(), CALLS[name][2].keys())

    async def check(self, network_type: str) -> None:
        """Try each command on one connection."""
        client = self.client(network_type)
        for command, (arguments, answer, box) in ALL_CALLS.items():
            self.answers[command] = answer
            received = await self.beside(client.call, command, **arguments)
            self.assertEqual(self.received.pop(), (command, arguments))
            del received[b"_answer"]
            self.assertEqual(received, box, command)

    async def test_commands_on_a_unix_socket(self) -> None:
        """
        On a unix socket a responder gets what was sent, and the client what was answered.
        """
        await self.check("unix")

    async def test_commands_on_tcp(self) -> None:
        """On tcp a responder gets what was sent, and the client what was answered."""
        await self.check("tcp")

    async def test_values_of_any_size(self) -> None:
        """
        Values of any size pass in both directions, around the size of one AMP value and
        above.
        """
        client = self.client()
        for size in (0, 1, 65533, 65534, 65535, 65536, 131070, 400_000, 1 << 20):
            env = {"filling": "x" * size, "text": "\u2603" * (size // 7)}
            self.answers["CreateVM"] = {"vm_cid": "vm-1", "networks": env}
            arguments = {**CREATE_VM, "env": env}
            box = await self.beside(client.call, "CreateVM", **arguments)
            self.assertEqual(self.received.pop(), ("CreateVM", arguments))
            self.assertEqual(json.loads(wire.join(b"networks", box) or b""), env)

    async def test_lists_and_empty_values(self) -> None:
        """An empty object is not taken for a missing one."""
        client = self.client()
        arguments = {**CREATE_VM, "env": {}, "disk_cids": [], "cloud_properties": {}}
        self.answers["CreateVM"] = {"vm_cid": "v", "networks": {}}
        await self.beside(client.call, "CreateVM", **arguments)
        self.assertEqual(self.received, [("CreateVM", arguments)])

    async def test_calls_one_after_the_other(self) -> None:
        """One connection serves many calls, and each gets its own answer."""
        client = self.client()
        for number in range(300):
            self.answers["HasVM"] = {"exists": number % 3 == 0}
            box = await self.beside(client.call, "HasVM", vm_cid=f"vm-{number}")
            self.assertEqual(box[b"exists"] == b"True", number % 3 == 0)
        self.assertEqual(len(self.protocols), 1)

    async def test_many_clients_at_once(self) -> None:
        """Each of many clients has a connection of its own."""
        self.answers["HasVM"] = {"exists": True}
        calls = [
            self.beside(self.client().call, "HasVM", vm_cid=f"vm-{number}")
            for number in range(20)
        ]
        for call in calls:
            await call
        names = {arguments["vm_cid"] for _, arguments in self.received}
        self.assertEqual(len(names), 20)

    async def test_nothing_is_opened_before_it_is_needed(self) -> None:
        """A client that makes no call opens no connection."""
        self.client().close()
        self.assertEqual(self.protocols, [])

    async def test_an_open_file_is_passed(self) -> None:
        """The responder gets a descriptor of its own for the same file."""
        path = self.mktemp()
        with open(path, "wb") as file:
            file.write(b"an image" * 1000)
        contents: list[bytes] = []

        def read(image: int, cloud_properties: Any) -> dict[str, str]:
            with open(image, "rb") as received:
                contents.append(received.read())
            return {"stemcell_cid": "s-1"}

        self.answers["ImportStemcell"] = read
        client = self.client()
        for cloud_properties in ({}, {"filling": "x" * 200_000}):
            with open(path, "rb") as image:
                box = await self.beside(
                    client.call_with_file,
                    "ImportStemcell",
                    "image",
                    image.fileno(),
                    cloud_properties=cloud_properties,
                )
            self.assertEqual(box[b"stemcell_cid"], b"s-1")
            _, arguments = self.received.pop()
            self.assertEqual(arguments["cloud_properties"], cloud_properties)
        self.assertEqual(contents, [b"an image" * 1000] * 2)

    async def test_a_stream_arrives_in_order(self) -> None:
        """
        A stream arrives in order, in pieces that fit, with nothing lost and nothing twice.
        """
        sizes = (0, 1, wire.MAX_VALUE, wire.MAX_VALUE + 1, 40 * wire.MAX_VALUE + 7)
        for network_type in ("unix", "tcp"):
            client = self.client(network_type)
            for size in sizes:
                data = os.urandom(size)
                path = self.mktemp()
                with open(path, "wb") as file:
                    file.write(data)
                with open(path, "rb") as source:
                    await self.beside(client.send_stream, "WriteStemcell", source, upload=1)
                pieces = [arguments["data"] for _, arguments in self.received]
                self.assertEqual(b"".join(pieces), data)
                self.assertEqual(len(pieces), -(-size // wire.MAX_VALUE))
                self.received.clear()
