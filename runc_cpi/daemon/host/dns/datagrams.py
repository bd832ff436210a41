"""UDP sockets in the reactor; Twisted's own would log each of them, twice."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from twisted.internet.interfaces import IReadDescriptor
from zope.interface import implementer

# Half a millisecond's work, or some milliseconds' for the longest answers that are kept:
# a flood holds up nothing else for longer.
DATAGRAMS_A_TURN = 8
LONGEST = 65535  # bytes


@implementer(IReadDescriptor)
class Datagrams:
    """
    A UDP socket, which is read until it is closed.

    @param reactor: provides C{IReactorFDSet}.
    @param udp: the socket, which is this object's from now on.
    @param received: takes each datagram, and the address that it is from.
    @param failed: is told that nobody listens at the address to which this is connected.
    """

    def __init__(
        self,
        reactor: Any,
        udp: socket.socket,
        received: Callable[[bytes, Any], None],
        failed: Callable[[], None] = lambda: None,
    ) -> None:
        self._reactor, self._socket = reactor, udp
        self._received, self._failed = received, failed
        udp.setblocking(False)
        reactor.addReader(self)

    def fileno(self) -> int:
        """Return the socket's descriptor."""
        return self._socket.fileno()

    def logPrefix(self) -> str:
        """Name it in the log."""
        return "dns"

    def doRead(self) -> None:
        """Take some of the datagrams that are there."""
        for _ in range(DATAGRAMS_A_TURN):
            try:
                datagram, address = self._socket.recvfrom(LONGEST)
            except ConnectionRefusedError:
                self._failed()
                return
            except OSError:
                return  # there are no more, or it is closed
            self._received(datagram, address)

    def connectionLost(self, reason: Any) -> None:
        """Close the socket: the reactor has seen an error of it, such as a refusal."""
        self.close()
        self._failed()

    def send(self, datagram: bytes, address: Any) -> None:
        """Send a datagram; as any other it may get lost."""
        with suppress(OSError):
            self._socket.sendto(datagram, address)

    def close(self) -> None:
        """Close the socket."""
        self._reactor.removeReader(self)
        self._socket.close()
