"""Finds out whether a daemon that is silent still lives; imported only then."""

from __future__ import annotations

import errno
import select
import time

from runc_cpi import wire
from runc_cpi.cpi import connecting, sockets
from runc_cpi.cpi.config import split_address
from runc_cpi.errors import CPIError, DaemonSilent

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from runc_cpi.cpi.config import CPIConfig

# Seconds.  A stemcell can take minutes; only a daemon that is lost takes longer.
ANSWER_TIMEOUT = 3600.0
# One that serves answers a ping within milliseconds, one that starts once it serves.
PING_TIMEOUT = connecting.START_TIMEOUT
PAUSE = 1.0
PING = wire.encode_box([(b"_ask", b"1"), (b"_command", b"Ping")])
# What a try ends with that nobody took, or to which nothing was said.
UNHEARD = (sockets.Timeout, TimeoutError, BlockingIOError)
# No way leads to the host, or nobody has its address; either may be so for a moment.
NO_WAY = (errno.ENETUNREACH, errno.EHOSTUNREACH)


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
            "hangs, or its host is gone; it may still do what it was asked to"
        )


def is_ready(connection: Any, is_sending: bool) -> bool:
    """
    Say whether a connection goes on, or has ended, so that to try it again tells more.

    @param is_sending: whether it is to take something, or else to have something to read.
    """
    poll = select.poll()
    poll.register(connection, select.POLLOUT if is_sending else select.POLLIN)
    return bool(poll.poll(0))


def _lives(config: CPIConfig) -> bool:
    """
    Ping the daemon over connections of their own, for L{PING_TIMEOUT} in all.

    Any answer will do, and so will a connection that is refused or closed: a daemon that
    has too many of them, or ends, does so.  Of its end the call's own connection tells.
    Whatever else goes wrong, such as with a certificate, says nothing against it.
    """
    deadline = time.monotonic() + PING_TIMEOUT
    while True:
        try:
            _ping(config, deadline)
        except (OSError, EOFError, ValueError, CPIError) as error:
            if not _is_unheard(error):
                return True
        else:
            return True
        if time.monotonic() + PAUSE >= deadline:
            return False
        time.sleep(PAUSE)


def _is_unheard(error: Exception) -> bool:
    """Say whether an error leaves open that nobody is there, so that a new try may help."""
    return isinstance(error, UNHEARD) or getattr(error, "errno", None) in NO_WAY


def _ping(config: CPIConfig, deadline: float) -> None:
    """
    Connect, and wait for what is said.

    @raise OSError: if the connection does not come about or is lost, or if the deadline
        comes first.
    @raise EOFError: if it is closed before TLS began.
    @raise ValueError: if nothing can have this address any more.
    @raise CPIError: if TLS is refused, or the CPI's own certificates are no good.
    """
    connection = connecting.attempt(
        config, min(connecting.ATTEMPT_TIMEOUT, _left(deadline))
    )
    try:
        connection.settimeout(_left(deadline))
        if config.tls is not None:
            from runc_cpi.cpi import tls

            host, _ = split_address(config.address)
            connection = tls.wrap(connection, host, config.tls)
            connection.settimeout(_left(deadline))
        connection.send(PING)
        connection.recv(1)
    finally:
        connection.close()


def _left(deadline: float) -> float:
    """Return for how long to wait still; never 0, which would be for ever or not at all."""
    return max(0.001, deadline - time.monotonic())
