"""Finds out whether a daemon that is silent still lives; imported only then."""

from __future__ import annotations

import time

from runc_cpi import wire
from runc_cpi.cpi import connecting, sockets
from runc_cpi.cpi.config import split_address
from runc_cpi.errors import CPIError, DaemonSilent

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runc_cpi.cpi.config import CPIConfig

# Seconds.  A stemcell can take minutes; only a daemon that is lost takes longer.
ANSWER_TIMEOUT = 3600.0
# A daemon that lives answers a ping within milliseconds, however long a call takes it.
PING_TIMEOUT = 30.0
PING = wire.encode_box([(b"_ask", b"1"), (b"_command", b"Ping")])
# What a full queue of a socket, or a host that is gone, ends a try to connect with.
SILENT = (sockets.Timeout, TimeoutError, BlockingIOError)


def check(config: CPIConfig, seconds: float) -> None:
    """
    See whether there is a reason to wait on for a daemon.

    @param config: where the daemon is.
    @param seconds: for how long it has been silent.
    @raise DaemonUnreachable: if a call cannot take that long.
    @raise DaemonSilent: if it does not answer over another connection either.
    """
    if seconds >= ANSWER_TIMEOUT:
        raise connecting.lost(config, sockets.Timeout())
    if not _lives(config):
        raise DaemonSilent(
            f"gave up runc-cpid at {config.address}: it was silent for {seconds:g} s, and "
            f"did not answer a ping within {PING_TIMEOUT:g} s; something stopped it, or it "
            "hangs, and it may still do what it was asked to"
        )


def _lives(config: CPIConfig) -> bool:
    """
    Ping the daemon over a connection of its own.

    Any answer will do, and so will a connection that is refused or closed: a daemon that
    has too many of them, or ends, does so.  Of its end the call's own connection tells.
    """
    deadline = time.monotonic() + PING_TIMEOUT
    connection = None
    try:
        connection = connecting.attempt(config, PING_TIMEOUT)
        connection.settimeout(PING_TIMEOUT)
        if config.tls is not None:
            from runc_cpi.cpi import tls

            host, _ = split_address(config.address)
            connection = tls.wrap(connection, host, config.tls)
        connection.settimeout(max(0.001, deadline - time.monotonic()))
        connection.send(PING)
        connection.recv(1)
    except SILENT:
        return False
    except (OSError, EOFError, ValueError, CPIError):
        return True
    finally:
        if connection is not None:
            connection.close()
    return True
