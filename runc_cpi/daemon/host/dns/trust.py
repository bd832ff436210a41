"""How long to wait for a name server before the next one is asked as well."""

from __future__ import annotations

from collections.abc import Callable

# Clients ask again after 5 s (resolv.conf(5)); by then a second server has answered.
PATIENCE = 2.0  # seconds
# For one that was silent.  It is asked in its turn all the same: others may not know the
# names of a private network that it knows.  One that is there answers most names by then.
PATIENCE_OF_DISTRUST = 0.2  # seconds
DISTRUST = 30.0  # seconds


class Trust:
    """
    Which name servers were silent of late.

    A server that has no answer to one question may have them to others: the name servers
    of that one name may be silent.  So a server counts as silent only if it has answered
    nothing at all meanwhile, and until it answers anything.

    @param seconds: the clock.
    """

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds = seconds
        # Whoever has named a server stays in here: they are few.
        self._heard: dict[str, float] = {}
        self._silent_since: dict[str, float] = {}

    def patience(self, server: str) -> float:
        """Return for how many seconds to wait for a server."""
        since = self._silent_since.get(server)
        if since is None or self._seconds() - since >= DISTRUST:
            return PATIENCE
        return PATIENCE_OF_DISTRUST

    def heard(self, server: str) -> None:
        """Take note that a server has answered."""
        self._heard[server] = self._seconds()
        self._silent_since.pop(server, None)

    def missed(self, server: str, asked: float) -> None:
        """
        Take note that a server did not answer in time.

        @param asked: when it was asked.
        """
        has_answered = self._heard.get(server, float("-inf")) >= asked
        if not has_answered and self.patience(server) == PATIENCE:
            self._silent_since[server] = self._seconds()
