"""Tells systemd whether the daemon is ready, stops, or is alive (sd_notify(3))."""

from __future__ import annotations

import os
import socket
from typing import Any

from twisted.application.service import Service
from twisted.internet.task import LoopingCall

READY = "READY=1"
STOPPING = "STOPPING=1"
ALIVE = "WATCHDOG=1"


def tell(state: str) -> None:
    """Send a state to systemd, if systemd started the daemon and asked for it."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as peer:
        # The daemon does not wait for systemd to listen.
        peer.setblocking(False)
        try:
            peer.sendto(state.encode("ascii"), address)
        except OSError:
            return  # nobody listens any more, or nobody has for long


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
