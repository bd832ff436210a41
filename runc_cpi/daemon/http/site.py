"""HTTP for those who only look: few and small requests, in bounded time."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address
from typing import Any

from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from twisted.web import http
from twisted.web.resource import IResource
from twisted.web.server import Request, Site

from runc_cpi.daemon.entrance.access import Address, address_of
from runc_cpi.daemon.entrance.peer_log import PeerLog
from runc_cpi.daemon.entrance.strangers import Strangers
from runc_cpi.daemon.vms.vm import VM

CONNECTIONS = 64  # that are open at once
GRACE_SECONDS = 5.0  # for which each has its place, whoever else comes
# Until a request is there, since the last one; scrapers come once a minute at least.
REQUEST_SECONDS = 75.0
CLOSE_SECONDS = 15.0  # for the rest of an answer to be read
HEADERS = 64
HEADER_BYTES = 8192  # of all of them
METHODS = (b"GET", b"HEAD")
FULL = "http: too many connections are open: old ones are closed for new ones"
# What comes is plain text or the daemon's own page, and nobody else's business.
USUAL_HEADERS = {
    b"Cache-Control": b"no-store",
    b"Content-Security-Policy": b"default-src 'none'",
    b"Referrer-Policy": b"no-referrer",
    b"X-Content-Type-Options": b"nosniff",
    b"X-Frame-Options": b"DENY",
}


class ReadOnlyRequest(Request):
    """A request without a body, which asks for something to look at."""

    channel: Channel
    _is_refused = False

    def gotLength(self, length: int | None) -> None:
        """Refuse a request with a body, which is neither kept nor read."""
        super().gotLength(0)
        if length != 0:
            self._is_refused = True
            self.channel.refuse(http.REQUEST_ENTITY_TOO_LARGE)

    def handleContentChunk(self, data: bytes) -> None:
        """Leave a body alone."""

    def process(self) -> None:
        """Answer, unless it is refused."""
        if self._is_refused:
            return
        for name, value in USUAL_HEADERS.items():
            self.setHeader(name, value)
        if self.method not in METHODS:
            self.setHeader(b"Allow", b", ".join(METHODS))
            self._refuse(http.NOT_ALLOWED, b"one can only look here\n")
        elif self._is_rebound():
            text = b"ask for this by localhost or an IP address, or set http.tls\n"
            self._refuse(http.FORBIDDEN, text)
        else:
            super().process()

    def _is_rebound(self) -> bool:
        """
        Say whether a browser of this host may have been led here by another site.

        Such a site has its own name resolve to a loopback address.  It has no name without
        a dot.
        """
        if self.isSecure() or not address_of(self.getHost()).is_loopback:
            return False
        name = self.getRequestHostname().decode("latin-1").strip("[]")
        try:
            ip_address(name)
        except ValueError:
            return "." in name.removesuffix(".localhost")
        return False

    def _refuse(self, status: int, text: bytes) -> None:
        self.setResponseCode(status)
        self.setHeader(b"Content-Type", b"text/plain; charset=utf-8")
        self.setHeader(b"Content-Length", b"%d" % len(text))
        self.write(text)
        self.finish()


class Channel(http.HTTPChannel):
    """A connection, which is ended if a request or the reading of an answer takes long."""

    maxHeaders = HEADERS
    totalHeadersSize = HEADER_BYTES
    requestFactory = ReadOnlyRequest
    site: ReadOnlySite
    transport: Any
    _is_closing = False

    def connectionMade(self) -> None:
        """Take a place."""
        self.site.added(self)
        super().connectionMade()

    def resetTimeout(self) -> None:
        """Give no more time for what comes bit by bit."""

    def refuse(self, status: int) -> None:
        """End the connection with an answer that has no body."""
        line = b"HTTP/1.1 %d %s\r\n" % (status, http.RESPONSES[status])
        self.transport.write(line + b"Connection: close\r\nContent-Length: 0\r\n\r\n")
        self.loseConnection()

    def timeoutConnection(self) -> None:
        """Close the connection, or cut it off if that takes too long."""
        if self._is_closing:
            self.transport.abortConnection()
        else:
            self.loseConnection()

    def loseConnection(self) -> None:
        """Close the connection once all is read, for which there is only so much time."""
        self._is_closing = True
        super().loseConnection()
        self.setTimeout(CLOSE_SECONDS)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Give up the place."""
        self.site.gone(self)
        super().connectionLost(reason)


class ReadOnlySite(Site):
    """
    Makes connections, of which only so many are open at once.

    @param root: what there is to look at.
    @param peer_log: is told when there are too many.
    @param vm_at: returns the VM that has an address.
    """

    protocol: Any = Channel
    displayTracebacks = False
    noisy = False

    def __init__(
        self,
        root: IResource,
        peer_log: PeerLog,
        reactor: Any,
        vm_at: Callable[[Address], VM | None],
    ) -> None:
        super().__init__(
            root,
            requestFactory=ReadOnlyRequest,
            timeout=REQUEST_SECONDS,
            reactor=reactor,
        )
        self._places: Strangers[Channel] = Strangers(
            CONNECTIONS, GRACE_SECONDS, peer_log, reactor.seconds, vm_at, FULL
        )
        self._open: set[Channel] = set()

    def startFactory(self) -> None:
        """Keep no log of who looks at what."""

    def stopFactory(self) -> None:
        """There is none to close."""

    def buildProtocol(self, addr: IAddress | None) -> Any:
        """Make a connection, or nothing, which has it closed at once."""
        return super().buildProtocol(addr) if self._places.admits(addr) else None

    def added(self, channel: Channel) -> None:
        """Give a place to a connection."""
        self._places.add(channel, channel.transport.getPeer())
        self._open.add(channel)

    def gone(self, channel: Channel) -> None:
        """Free the place of a connection."""
        self._places.discard(channel)
        self._open.discard(channel)

    def end(self) -> None:
        """Cut off all connections; what they ask for changes nothing."""
        for channel in list(self._open):
            channel.transport.abortConnection()
