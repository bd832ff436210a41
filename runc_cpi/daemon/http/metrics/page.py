"""C{/metrics}: all metrics, as Prometheus reads them."""

from __future__ import annotations

from typing import Any

from twisted.web.server import Request

from runc_cpi.daemon.http.answers import Answer
from runc_cpi.daemon.http.metrics.exposition import CONTENT_TYPE
from runc_cpi.daemon.http.metrics.gathering import Gathering


class Metrics(Answer):
    """
    Answers those who scrape.

    @param gathering: makes the text.
    """

    content_type = CONTENT_TYPE

    def __init__(self, reactor: Any, gathering: Gathering) -> None:
        super().__init__(reactor)
        self._gathering = gathering

    async def content(self, request: Request) -> bytes:
        """Return the text."""
        return await self._gathering.text()
