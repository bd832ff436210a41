"""What is known about the other ends of connections: L{ISockets}."""

from __future__ import annotations

from ipaddress import ip_address

from runc_cpi.daemon.entrance.interfaces import ISockets
from tests.behaviour.case import HostCase


class Behaviour(HostCase):
    """A connection of a process of this host, and addresses."""

    interfaces = (ISockets,)

    def test_the_owner_of_a_connection(self) -> None:
        """C{owner} returns the uid of the process at the other end."""
        self.assertEqual(self.sockets.owner(*self.ends), self.uid)

    def test_a_connection_that_is_not_there(self) -> None:
        """Nobody owns a connection from another port."""
        address, port, own_address, own_port = self.ends
        self.assertIsNone(self.sockets.owner(address, port ^ 1, own_address, own_port))

    def test_a_connection_that_was_not_reset(self) -> None:
        """C{is_connected} says that an open connection is one still."""
        self.assertIs(self.sockets.is_connected(self.connection), True)

    def test_local_addresses(self) -> None:
        """C{is_local} tells the host's own addresses from those of others."""
        self.assertIs(self.sockets.is_local(self.own_address), True)
        for other in ("192.0.2.77", "2001:db8::77"):
            self.assertIs(self.sockets.is_local(ip_address(other)), False)
