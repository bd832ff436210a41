"""
Connections by the C half of the C{socket} module, which is enough for a client.

To import C{socket} takes as long as Python's own start, since it imports C{enum} and
C{selectors}; C{_socket} takes next to nothing.  C{socket} is used where C{_socket} is
missing.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket as socket  # others use what is found here
    from typing import Any, Callable, Optional
else:
    try:
        import _socket as socket
    except ImportError:
        import socket

# A connection that is silent for so many seconds is probed, as the peer may be gone.
KEEPALIVE_IDLE = 30
CHUNK = 1 << 16
Timeout = socket.timeout


def connect_unix(path: str, seconds: float) -> Any:
    """
    Connect to a socket of this host.

    @param seconds: how long to wait for a place in its queue.
    @raise OSError: if that fails.
    @raise ValueError: if nothing can have this path.
    """
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    # A struct timeval, of two longs.  With a timeout of Python's it would not wait.
    long = 8 if sys.maxsize > 1 << 32 else 4
    parts = (int(seconds), int(seconds % 1 * 1_000_000))
    timeout = b"".join(number.to_bytes(long, sys.byteorder) for number in parts)
    try:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, timeout)
        connection.connect(path)
    except BaseException:
        connection.close()
        raise
    return connection


def connect_tcp(host: str, port: int, seconds: float) -> Any:
    """
    Connect to a port, at the first of the host's addresses that answers.

    @param host: a name or an address.
    @param seconds: how long to wait for each address, and later for each answer.
    @raise OSError: if none does: what the last one failed with.
    @raise ValueError: if nothing can have this name.
    """
    problem: Optional[OSError] = None
    # As bytes it is not encoded by the codec for the names of hosts.
    found = socket.getaddrinfo(host.encode("ascii"), port, 0, socket.SOCK_STREAM)
    for family, kind, protocol, _, address in found:
        connection = None
        try:
            connection = socket.socket(family, kind, protocol)
            connection.settimeout(seconds)
            connection.connect(address)
            _tune(connection)
            return connection
        except OSError as error:
            problem = error
            if connection is not None:
                connection.close()
    raise problem or OSError("the name has no addresses")


def _tune(connection: Any) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_KEEPIDLE"):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_IDLE)


def send(connection: Any, data: bytes, on_silence: Callable[[bool], None]) -> None:
    """
    Send all bytes.

    @param connection: a socket, or what has its method C{send}.
    @param on_silence: is called, with L{True}, whenever nothing could be sent for the
        connection's timeout; unless it raises an error, this goes on.
    @raise OSError: if the connection is lost.
    """
    rest = memoryview(data)
    while rest:
        try:
            rest = rest[connection.send(rest) :]
        except Timeout:
            on_silence(True)


def send_with_file(
    connection: Any, data: bytes, fd: int, on_silence: Callable[[bool], None]
) -> None:
    """
    Send bytes with an open file beside the first (unix(7), SCM_RIGHTS).

    @param on_silence: as with L{send}.
    @raise OSError: if that fails.
    """
    rights = fd.to_bytes(4, sys.byteorder)
    ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)]
    connection.sendmsg([data[:1]], ancillary)
    send(connection, data[1:], on_silence)


class Incoming:
    """
    What comes from a connection, as a stream.

    @param connection: a socket, or what has its method C{recv}.
    @param on_silence: is called, with L{False}, whenever nothing came for the connection's
        timeout; unless it raises an error, what comes is still waited for.
    """

    def __init__(self, connection: Any, on_silence: Callable[[bool], None]) -> None:
        self._connection, self._waiting = connection, bytearray()
        self._on_silence = on_silence

    def read(self, size: int) -> bytes:
        """
        Read so many bytes; fewer only if the other side hung up.

        @raise OSError: if the connection is lost.
        """
        while len(self._waiting) < size:
            try:
                data = self._connection.recv(CHUNK)
            except Timeout:
                self._on_silence(False)
                continue
            if not data:
                break
            self._waiting += data
        taken = bytes(self._waiting[:size])
        del self._waiting[:size]
        return taken
