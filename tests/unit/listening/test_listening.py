"""Ports: taken early, read from once the daemon serves, and closed at its stop."""

from __future__ import annotations

import os
import shutil
import socket
import stat
import tempfile

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from runc_cpi.daemon.config import TCPAddress, UnixAddress
from runc_cpi.daemon.listening import AddressUnusable, Port


class Connections(Factory):
    """Tells of the first connection."""

    noisy = False

    def __init__(self) -> None:
        self.first: Deferred[None] = Deferred()

    def buildProtocol(self, addr: object) -> Protocol:
        """Take a connection."""
        if not self.first.called:
            self.first.callback(None)
        return Protocol()


class PortTests(TestCase):
    """A port of its own for each test."""

    timeout = 20

    def setUp(self) -> None:
        # The path of a socket file must be short (unix(7)).
        directory = tempfile.mkdtemp(prefix="cpi")
        self.addCleanup(shutil.rmtree, directory)
        self.path = f"{directory}/s"
        self.connections = Connections()

    def port(self, address: TCPAddress | UnixAddress | None = None) -> Port:
        """Make a port at a socket file, or at another address."""
        where = address or UnixAddress(self.path)
        port = Port(reactor, where, self.connections, mode=0o620)
        self.addCleanup(port.stopService)
        return port

    def connect(self) -> None:
        """Connect to the socket file, and stay connected."""
        client = socket.socket(socket.AF_UNIX)
        self.addCleanup(client.close)
        client.connect(self.path)

    async def test_connections_wait_until_it_serves(self) -> None:
        """A connection that comes before the daemon serves waits, and is taken then."""
        port = self.port()
        port.privilegedStartService()
        port.startService()
        self.connect()
        await deferLater(reactor, 0.05)
        self.assertFalse(self.connections.first.called)
        port.serve()
        await self.connections.first

    async def test_it_is_closed(self) -> None:
        """A port that was stopped takes no connections, and its socket file is gone."""
        port = self.port()
        port.privilegedStartService()
        self.assertEqual(stat.S_IMODE(os.stat(self.path).st_mode), 0o620)
        await port.stopService()
        self.assertFalse(os.path.exists(self.path))
        port.serve()
        with self.assertRaises(FileNotFoundError):
            self.connect()

    async def test_a_stale_socket_is_replaced(self) -> None:
        """A socket file that nobody listens at is replaced."""
        with socket.socket(socket.AF_UNIX) as stale:
            stale.bind(self.path)
        self.port().privilegedStartService()
        self.connect()

    def test_a_socket_in_use_is_refused(self) -> None:
        """A socket file that somebody listens at is left alone."""
        self.port().privilegedStartService()
        with self.assertRaisesRegex(AddressUnusable, "another program listens there"):
            self.port().privilegedStartService()
        self.connect()

    def test_another_file_is_refused(self) -> None:
        """A file that is no socket is left alone."""
        with open(self.path, "w") as file:
            file.write("precious")
        with self.assertRaisesRegex(AddressUnusable, "no socket"):
            self.port().privilegedStartService()
        self.assertEqual(os.stat(self.path).st_size, 8)

    def test_a_tcp_port_in_use_is_refused(self) -> None:
        """A TCP port that is taken is named."""
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            address = TCPAddress("127.0.0.1", taken.getsockname()[1])
            with self.assertRaisesRegex(AddressUnusable, f"^address: {address}: .*in use"):
                self.port(address).privilegedStartService()
