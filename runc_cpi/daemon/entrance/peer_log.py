"""Log lines about peers, of which there are only so many a minute."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.logger import Logger

MINUTE = 60.0
PEERS_A_MINUTE = 60


class PeerLog:
    """
    Logs one warning a minute about each peer, and about no more than some peers.

    A flood of connections fills no log in this way.

    @param seconds: the clock.
    """

    log = Logger()

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds = seconds
        self._began = seconds()
        self._told: dict[str, float] = {}
        self._count = 0

    def warn(self, about: str, text: str, **parts: Any) -> None:
        """
        Log a warning, unless enough was said.

        @param about: the peer, or whatever else it is that is told of once a minute.
        @param text: a format, as those of L{Logger}.
        """
        now = self._seconds()
        if now - self._began >= MINUTE:
            self._began, self._count = now, 0
            self._told = {who: at for who, at in self._told.items() if now - at < MINUTE}
        if about in self._told and now - self._told[about] < MINUTE:
            return
        self._count += 1
        if self._count <= PEERS_A_MINUTE:
            self._told[about] = now
            self.log.warn(text, **parts)
        elif self._count == PEERS_A_MINUTE + 1:
            self.log.warn(
                "there are warnings about more peers than the log names in a minute"
            )
