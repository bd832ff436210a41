"""A TCP port that takes connections at a pace at which all else goes on."""

from __future__ import annotations

from twisted.internet import tcp

# Some milliseconds' work; Twisted's own number grows as long as more are waiting.
ACCEPTS_A_TURN = 64


class PacedPort(tcp.Port):
    """Takes a bounded number of connections in each turn of the reactor."""

    def doRead(self) -> None:
        """Take some of the connections that are waiting."""
        self.numberAccepts = ACCEPTS_A_TURN
        super().doRead()
