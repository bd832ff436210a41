"""A fake of what the entrance asks of the host."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

from zope.interface import implementer
from zope.interface.verify import verifyObject

from runc_cpi.daemon.entrance.interfaces import ISockets

PORT, OWN_ADDRESS, OWN_PORT = 40000, "127.0.0.1", 9999
HOSTS_OWN = {"192.0.2.1", "10.0.0.1", "2001:db8::1"}


@implementer(ISockets)
class FakeSockets:
    """
    A host with one connection, to L{OWN_PORT}.

    @param uid: whose the other end of it is, or L{None} if it is gone.
    @param broken: whether the kernel cannot tell.
    """

    def __init__(self, uid: int | None, *, broken: bool = False) -> None:
        self._uid, self._broken = uid, broken

    def owner(self, address: Any, port: int, own_address: Any, own_port: int) -> int | None:
        """Name that user."""
        if self._broken:
            raise OSError(24, "Too many open files")
        asked = (port, own_address, own_port)
        known = (PORT, ip_address(OWN_ADDRESS), OWN_PORT)
        return self._uid if asked == known else None

    def is_connected(self, connection: Any) -> bool:
        """None is reset."""
        return True

    def is_local(self, address: Any) -> bool:
        """Know the addresses above."""
        return str(address) in HOSTS_OWN


verifyObject(ISockets, FakeSockets(0))
