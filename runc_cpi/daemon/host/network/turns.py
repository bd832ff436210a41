"""Lets one daemon of a host at a time decide what all of them share (unix(7))."""

from __future__ import annotations

import errno
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

from twisted.logger import Logger

# An abstract address: each network namespace has its own, and it goes with who has it.
TURN = "\0runc-cpid forwarding"
# Seconds: a turn takes some hundredths; whoever holds it for longer is no daemon, or hangs.
PATIENCE, INTERVAL = 5.0, 0.005

log = Logger()


@contextmanager
def turn(patience: float = PATIENCE) -> Iterator[None]:
    """
    Wait for the other daemons of this network namespace, and have them wait; it blocks.

    @param patience: how long to wait, in seconds; then it goes on beside them.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ours:
        deadline = time.monotonic() + patience
        while not _is_bound(ours):
            if time.monotonic() > deadline:
                log.warn(
                    "somebody has had the abstract socket {name} for {patience:g} s, and "
                    "is not waited for",
                    name=TURN[1:],
                    patience=patience,
                )
                break
            time.sleep(INTERVAL)
        yield


def _is_bound(ours: socket.socket) -> bool:
    try:
        ours.bind(TURN)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        return False
    return True
