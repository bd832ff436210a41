"""What the daemon tells systemd, and which files systemd keeps for it (sd_notify(3))."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from typing import Any

from twisted.application.service import Service
from twisted.internet.task import LoopingCall

READY = "READY=1"
STOPPING = "STOPPING=1"
ALIVE = "WATCHDOG=1"
# What systemd keeps has a name.  It keeps these whatever state they are in.
NAME = "FDNAME=writable"
KEEP = f"FDSTORE=1\n{NAME}\nFDPOLL=0"
FORGET = f"FDSTOREREMOVE=1\n{NAME}"
FIRST_KEPT = 3  # descriptor (sd_listen_fds(3))
# Twisted's endpoints take these from the environment as soon as they are imported.
_RECEIVER = os.environ.get("LISTEN_PID", "")
_COUNT = os.environ.get("LISTEN_FDS", "")


def tell(state: str, descriptors: Sequence[int] = ()) -> None:
    """
    Send a state to systemd, if systemd started the daemon and asked for it.

    @param descriptors: open files that go with it.
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as peer:
        # The daemon does not wait for systemd to listen.
        peer.setblocking(False)
        try:
            peer.connect(address)
            socket.send_fds(peer, [state.encode("ascii")], descriptors)
        except OSError:
            return  # nobody listens any more, or nobody has for long


def keep(descriptors: Sequence[int]) -> None:
    """
    Have systemd keep files open while no daemon runs, in place of those it kept before.

    The unit's C{FileDescriptorStoreMax} bounds how many it takes.
    """
    if descriptors:
        tell(FORGET)
        tell(KEEP, descriptors)


def take_back() -> None:
    """Close what systemd kept and passes to this process: no child may inherit it."""
    if str(os.getpid()) == _RECEIVER:
        os.closerange(FIRST_KEPT, FIRST_KEPT + int(_COUNT))


class Watchdog(Service):
    """Tells systemd that the reactor runs, twice as often as WatchdogSec demands."""

    def __init__(self, reactor: Any) -> None:
        self._interval = int(os.environ.get("WATCHDOG_USEC") or 0) / 2_000_000
        self._loop = LoopingCall(tell, ALIVE)
        self._loop.clock = reactor

    def startService(self) -> None:
        """Begin, if the unit has a watchdog."""
        super().startService()
        if self._interval:
            self._loop.start(self._interval)

    def stopService(self) -> None:
        """End."""
        super().stopService()
        if self._loop.running:
            self._loop.stop()
