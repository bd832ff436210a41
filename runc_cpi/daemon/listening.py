"""Ports: where the daemon listens, each a service with a factory of its own."""

from __future__ import annotations

import os
import socket
import stat
from typing import Any

from twisted.application.service import MultiService
from twisted.internet import tcp
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.error import CannotListenError

from runc_cpi.daemon.config import TCPAddress, UnixAddress

# Who connects while this many wait is delayed by a second or more (tcp(7)).
BACKLOG = 1024  # connections
# Some milliseconds' work; Twisted's own number grows as long as more are waiting.
ACCEPTS_A_TURN = 64  # connections


class AddressUnusable(Exception):
    """The daemon cannot listen at an address; the message names the key and says why."""


class Port(MultiService):
    """
    One address that the daemon listens at.

    It is taken before the reactor runs; connections wait in the kernel's queue until
    L{serve}.

    @param factory: makes the protocols of its connections.
    @param mode: of a socket file.
    @param group: the number of the group that has a socket file, or L{None} for root's.
    @cvar key: of the configuration, which has the address.
    """

    key = "address"

    def __init__(
        self,
        reactor: Any,
        address: TCPAddress | UnixAddress,
        factory: Any,
        *,
        mode: int = 0o600,
        group: int | None = None,
    ) -> None:
        super().__init__()
        self._reactor, self._address, self._factory = reactor, address, factory
        self._mode, self._group = mode, group
        self._port: Any = None

    def privilegedStartService(self) -> None:
        """
        Listen, but take no connection yet.

        @raise AddressUnusable: if that is not possible.
        """
        super().privilegedStartService()
        try:
            self._port = self._listen()
        except CannotListenError as error:
            cause: Any = error.socketError
            raise self._unusable(cause.strerror) from None
        except OSError as error:
            raise self._unusable(error.strerror) from None
        self._port.stopReading()

    def _unusable(self, reason: Any) -> AddressUnusable:
        return AddressUnusable(f"{self.key}: {self._address}: {reason}")

    def _listen(self) -> Any:
        address = self._address
        if isinstance(address, TCPAddress):
            port = PacedPort(
                address.port, self._factory, BACKLOG, address.host, self._reactor
            )
            port.startListening()
            return port
        clear_socket(address.path)
        listening = self._reactor.listenUNIX(
            address.path, self._factory, backlog=BACKLOG, mode=self._mode, wantPID=False
        )
        if self._group is not None:
            os.chown(address.path, 0, self._group)
        return listening

    def serve(self) -> None:
        """Take connections from now on, unless the port is closed already."""
        if self._port is not None:
            self._port.startReading()

    def reload(self) -> None:
        """Read files again that may have changed, such as certificates."""

    async def finish(self, seconds: float) -> bool:
        """
        Begin nothing new on open connections, and wait for what is under way.

        @param seconds: for how long at most.
        @return: whether all of it has ended.
        """
        return True

    def stopService(self) -> Deferred[None]:
        """Take no more connections; those that are open stay."""
        return Deferred.fromCoroutine(self._close())

    async def _close(self) -> None:
        port, self._port = self._port, None
        if port is not None:
            await maybeDeferred(port.stopListening)
        await super().stopService()


class PacedPort(tcp.Port):
    """Takes a bounded number of connections in each turn of the reactor."""

    def doRead(self) -> None:
        """Take some of the connections that are waiting."""
        self.numberAccepts = ACCEPTS_A_TURN
        super().doRead()


def clear_socket(path: str) -> None:
    """
    Remove a socket file that nobody listens at, and make its directory.

    @raise AddressUnusable: if somebody does, or if the file is no socket.
    """
    os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            raise AddressUnusable(f"address: {path}: is there, and no socket")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
            return
        except BlockingIOError:
            pass  # its queue is full, so somebody listens
    raise AddressUnusable(f"address: {path}: another program listens there")
