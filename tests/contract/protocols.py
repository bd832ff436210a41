"""A test that calls the daemon's real protocol, over a daemon's real parts."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any, BinaryIO, cast

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.protocols import amp

from runc_cpi import wire
from runc_cpi.daemon.config import LimitsConfig
from runc_cpi.daemon.entrance.peer_log import PeerLog
from runc_cpi.daemon.rpc.factory import CPIFactory
from runc_cpi.daemon.storage.depot import Depot
from runc_cpi.errors import CPIError
from tests.contract.peers import PATIENCE, ServedTestCase
from tests.fakes.assembly import assemble
from tests.fakes.script import Script

NETWORKS = {"n": {"type": "dynamic", "cloud_properties": {}}}


class ProtocolTestCase(ServedTestCase):
    """A real protocol and a daemon's real parts over a fake host."""

    async def setUp(self) -> None:
        super().setUp()
        self.script = Script()
        self.depot = Depot(Path(self.mktemp()).absolute())
        self.depot.prepare()
        self.addCleanup(self.depot.release)
        self.disk_script = Script()
        parts = assemble(self.script, self.depot, self.disk_script)
        self.driver = parts.driver
        self.stemcells, self.vms, self.disks = parts.stemcells, parts.vms, parts.disks
        self.clock = parts.clock
        self.journal, self.calls = parts.history.journal, parts.history.calls
        self.factory = CPIFactory(
            parts.subjects,
            LimitsConfig(),
            PeerLog(reactor.seconds),
            reactor,
        )
        with open(os.devnull, "rb") as image:
            stemcell = await parts.stemcells.create(image.fileno(), {})
        self.stemcell_cid = stemcell.cid
        self.script.done.clear()

    def protocol(self) -> amp.AMP:
        """Serve calls."""
        protocol = self.factory.buildProtocol(None)
        assert protocol is not None
        return protocol

    async def call(self, command: str, **arguments: Any) -> dict[bytes, bytes]:
        """Make a call on a connection of its own."""
        box: dict[bytes, bytes]
        box = await self.beside(self.client().call, command, **arguments)
        return box

    async def refusal(self, command: str, **arguments: Any) -> CPIError:
        """Return the error that a call ends with."""
        with self.assertRaises(CPIError) as caught:
            await self.call(command, **arguments)
        return caught.exception

    def create_vm(self) -> Deferred[Any]:
        """Make an ordinary VM."""
        return Deferred.fromCoroutine(
            self.call(
                "CreateVM",
                agent_id="agent-1",
                stemcell_cid=self.stemcell_cid,
                cloud_properties={},
                networks=NETWORKS,
                disk_cids=[],
                env={"filling": "x" * (1 << 20)},
                agent={},
            )
        )

    async def break_off(self) -> None:
        """End every connection, as if all callers had been killed."""
        for protocol in self.protocols:
            transport: Any = protocol.transport
            transport.abortConnection()
        for lost in self.lost:
            await lost

    async def until(self, condition: Any) -> None:
        """Let the reactor run until a condition holds, or the test's time is over."""
        while not condition():
            await deferLater(reactor, 0.001)

    def raw(self) -> socket.socket:
        """Connect without a client, for a test that sends bytes itself."""
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(PATIENCE)
        connection.connect(self.path)
        self.addCleanup(connection.close)
        return connection


def encoded(command: str, ask: bytes = b"1", **arguments: bytes) -> bytes:
    """Return a command as bytes."""
    pairs = [(b"_ask", ask), (b"_command", command.encode())]
    pairs += [(name.encode(), value) for name, value in arguments.items()]
    return wire.encode_box(pairs)


def receive(connection: socket.socket) -> dict[bytes, bytes]:
    """Read an answer."""
    with connection.makefile("rb", buffering=0) as stream:
        return wire.read_box(cast(BinaryIO, stream))


def exchange(
    connection: socket.socket, command: str, **arguments: bytes
) -> dict[bytes, bytes]:
    """Send a command, and read the next answer."""
    connection.sendall(encoded(command, **arguments))
    return receive(connection)
