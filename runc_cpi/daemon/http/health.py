"""Whether the daemon lives, and whether it takes calls."""

from __future__ import annotations

from typing import Any

from twisted.web.server import Request

from runc_cpi.daemon.http.answers import Answer, Unavailable


class Health(Answer):
    """C{/healthz}: whoever gets this answer knows that the daemon's reactor turns."""

    async def content(self, request: Request) -> bytes:
        """Say so."""
        return b"ok\n"


class Readiness(Answer):
    """
    C{/readyz}: whether the daemon takes calls.

    @ivar is_ready: whoever starts the daemon sets it.
    """

    def __init__(self, reactor: Any) -> None:
        super().__init__(reactor)
        self.is_ready = False

    async def content(self, request: Request) -> bytes:
        """
        Say so.

        @raise Unavailable: while it does not.
        """
        if not self.is_ready:
            raise Unavailable("starting")
        return b"ok\n"
