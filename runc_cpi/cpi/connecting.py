"""Reaching the daemon, with TLS or without, and saying why it was lost."""

from __future__ import annotations

import time

from runc_cpi import wire
from runc_cpi.cpi import sockets
from runc_cpi.cpi.config import CPIConfig, split_address
from runc_cpi.errors import DaemonSilentForNow, DaemonUnreachable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict

# All of these are seconds.  One attempt to connect:
ATTEMPT_TIMEOUT = 5
RETRY_PAUSE = 0.05
# A daemon that starts takes no connection before it serves; until then they wait in the
# kernel's queue.  Its unit lets a start take so long (TimeoutStartSec).
START_TIMEOUT = 300.0
CLOSED = (EOFError, ConnectionResetError, BrokenPipeError)
AGAIN_AND_AGAIN = "; if it does so each time, its log tells why"


def connect(config: CPIConfig) -> Any:
    """
    Connect to the daemon, with TLS if it is configured.

    @return: a socket.
    @raise DaemonUnreachable: if it is not reached within C{connect_timeout}.
    @raise DaemonSilentForNow: if TLS does not begin within L{START_TIMEOUT}.
    @raise TLSRejected: if either side does not accept the other's certificate.
    @raise InvalidArgument: if the CPI's own certificates are no good.
    """
    deadline = time.monotonic() + config.connect_timeout
    connection = _reach(config, deadline)
    if config.tls is not None:
        connection = _encrypted(config, config.tls, connection, deadline)
    return connection


def lost(config: CPIConfig, error: Exception) -> Exception:
    """
    Return the error for a connection that ended before an answer came.

    @param error: what reading or writing ended with.
    """
    if config.tls is not None:
        from runc_cpi.cpi.encrypted import ssl

        if isinstance(error, ssl.SSLEOFError):
            error = EOFError()
        elif isinstance(error, ssl.SSLError):
            # With TLS 1.3 this is when a client learns that it is not accepted.
            from runc_cpi.cpi import tls

            return tls.explain(error)
    reason = _reason(error)
    if config.tls is None:
        # A daemon that ends looks like one with too many connections.
        reason += AGAIN_AND_AGAIN if isinstance(error, CLOSED) else ""
    return DaemonUnreachable(
        f"lost runc-cpid at {config.address} before it answered: {reason}"
    )


def _reach(config: CPIConfig, deadline: float) -> Any:
    """Connect, trying again for a while: a daemon may be just about to start."""
    while True:
        try:
            return attempt(config, ATTEMPT_TIMEOUT)
        # A name that cannot be looked up or encoded is a ValueError.
        except (OSError, ValueError) as error:
            if isinstance(error, OSError) and _pause(deadline):
                continue
            raise DaemonUnreachable(
                f"cannot reach runc-cpid at {config.address} "
                f"({config.network_type}): {_reason(error)}"
            ) from None


def attempt(config: CPIConfig, seconds: float) -> Any:
    """
    Connect once, without TLS.

    @param seconds: how long to wait for each of its addresses.
    @raise OSError: if that fails.
    @raise ValueError: if nothing can have this address.
    """
    if config.network_type == "unix":
        return sockets.connect_unix(config.address, seconds)
    host, port = split_address(config.address)
    return sockets.connect_tcp(host, port, seconds)


def _encrypted(
    config: CPIConfig, own: Dict[str, str], connection: Any, deadline: float
) -> Any:
    """Begin TLS, again for a while: a flood of others may keep the daemon from us."""
    from runc_cpi.cpi import tls

    host, _ = split_address(config.address)
    while True:
        connection.settimeout(START_TIMEOUT)
        try:
            return tls.wrap(connection, host, own)
        except (OSError, EOFError) as error:
            connection.close()
            # Nothing was asked yet, so to ask again is safe.
            closed = isinstance(error, (EOFError, ConnectionError))
            if not closed or not _pause(deadline):
                raise _turned_away(config, error) from None
        connection = _reach(config, deadline)


def _turned_away(config: CPIConfig, error: Exception) -> Exception:
    """Say why TLS did not come about: whoever is not let in is not told so before."""
    if isinstance(error, sockets.Timeout):
        return DaemonSilentForNow(
            f"gave up runc-cpid at {config.address}: TLS did not begin within "
            f"{START_TIMEOUT:g} s; something stopped it, or it hangs, or its host is gone; "
            "it was not asked for anything yet"
        )
    if not isinstance(error, CLOSED):
        return lost(config, error)
    return DaemonUnreachable(
        f"runc-cpid at {config.address} closed the connection before TLS began; "
        "it does so to those that its allow_from does not name; its log tells more"
    )


def _pause(deadline: float) -> bool:
    """Wait a little, and say whether there is time to try again."""
    if time.monotonic() + RETRY_PAUSE >= deadline:
        return False
    time.sleep(RETRY_PAUSE)
    return True


def _reason(error: Exception) -> str:
    if isinstance(error, wire.WireError):
        return f"is it runc-cpid, and does it expect TLS? {error}"
    if isinstance(error, EOFError):
        return "it closed the connection"
    if isinstance(error, sockets.Timeout):
        return "timed out"
    return getattr(error, "strerror", None) or str(error)
