"""
Connections inside TLS, by the C half of the C{ssl} module.

To import C{ssl} takes twice as long as Python's own start; C{_ssl} takes less than half of
a start, most of it to load OpenSSL.  It is as safe: C{ssl} gives names to its numbers and
has sockets of its own, but each check is made in C{_ssl} and OpenSSL, that of the server's
name among them.  C{ssl} is used where C{_ssl} lacks what is used here.
"""

from __future__ import annotations

from runc_cpi.cpi import sockets

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ssl as ssl  # others use what is found here
    from typing import Any
else:
    try:
        import _ssl as ssl
    except ImportError:
        import ssl

TLS_1_2 = 0x0303


def client_context() -> Any:
    """Return a context that trusts no CA yet, and insists on the server's name."""
    context = _plain_context()
    if context is None:
        from ssl import SSLContext

        context = SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = TLS_1_2
    # As Python has it since 3.13: a CA that another one signed can be trusted by itself.
    context.verify_flags |= getattr(ssl, "VERIFY_X509_PARTIAL_CHAIN", 0)
    return context


def _plain_context() -> Any:
    try:
        context = ssl._SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # type: ignore[attr-defined]
        strict = context.check_hostname and context.verify_mode == ssl.CERT_REQUIRED
        return context if strict and hasattr(context, "_wrap_socket") else None
    except (AttributeError, TypeError):
        return None


def begin(context: Any, connection: Any, host: str) -> Any:
    """
    Begin TLS on a connection, as a client.

    @param context: one that L{client_context} made.
    @param host: the name or IP address that the server's certificate must be for.
    @return: what has the methods of a socket that a client needs.
    @raise EOFError: if the other side hangs up without a word.
    @raise OSError: if it is lost, or either side rejects the other.
    """
    try:
        if not hasattr(context, "wrap_socket"):
            return Encrypted(context, _moved(connection, Referable), host)
        import socket

        moved = _moved(connection, socket.socket)
        wrapped = context.wrap_socket(moved, server_hostname=host)
    except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
        raise EOFError from None
    if wrapped.version() is None:
        # It was closed by then, which the ssl module takes for not connected yet.
        raise EOFError
    return wrapped


def _moved(connection: Any, kind: Any) -> Any:
    """Make a socket of another class out of one."""
    timeout = connection.gettimeout()
    moved = kind(fileno=connection.detach())
    moved.settimeout(timeout)
    return moved


class Referable(sockets.socket.socket):
    """A socket that there can be weak references to, as C{_ssl} needs."""


class Encrypted:
    """
    A connection inside TLS.

    @param connection: it stays open as long as this is.
    @raise OSError: as L{begin}.
    """

    def __init__(self, context: Any, connection: Any, host: str) -> None:
        self._connection = connection
        self._session = context._wrap_socket(connection, False, host)
        self._session.do_handshake()
        self.settimeout, self.close = connection.settimeout, connection.close
        self.fileno = connection.fileno

    def recv(self, size: int) -> bytes:
        """Receive so many bytes at most; none if the other side hung up."""
        try:
            return bytes(self._session.read(size))
        except ssl.SSLEOFError:
            # Without a word; what is missing then is noticed by who reads.
            return b""

    def send(self, data: bytes | memoryview) -> int:
        """Send some of it, and return how many bytes that were."""
        return int(self._session.write(data))
