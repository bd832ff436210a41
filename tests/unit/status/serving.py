"""The page, served at a port of this host's loopback by the daemon's own HTTP server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from runc_cpi.daemon.entrance.peer_log import PeerLog
from runc_cpi.daemon.http.answers import Root
from runc_cpi.daemon.http.site import ReadOnlySite
from runc_cpi.daemon.status.answers import put
from runc_cpi.daemon.status.documents import Documents


@asynccontextmanager
async def served(reactor: Any, documents: Documents) -> AsyncIterator[str]:
    """
    Serve it, until the end of the context.

    @return: its URL.
    """
    root = Root()
    put(root, reactor, documents)
    site = ReadOnlySite(root, PeerLog(reactor.seconds), reactor, lambda _: None)
    port = reactor.listenTCP(0, site, interface="127.0.0.1")
    try:
        yield f"http://127.0.0.1:{port.getHost().port}/"
    finally:
        await port.stopListening()
        site.end()
