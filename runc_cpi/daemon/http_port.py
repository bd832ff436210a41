"""The port where one can look: who may, by which way, and what is there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from runc_cpi.daemon.assembly import Assembly
from runc_cpi.daemon.config import DaemonConfig, HTTPConfig, LimitsConfig
from runc_cpi.daemon.doctor.rounds import Rounds
from runc_cpi.daemon.entrance.access import LOOPBACK
from runc_cpi.daemon.entrance.admission import SourceFilter
from runc_cpi.daemon.entrance.encryption import EncryptedFactory
from runc_cpi.daemon.entrance.handshakes import HandshakeQueue
from runc_cpi.daemon.entrance.identity import Identity, IdentityReloader
from runc_cpi.daemon.entrance.peer_log import PeerLog
from runc_cpi.daemon.http.answers import Root
from runc_cpi.daemon.http.health import Health, Readiness
from runc_cpi.daemon.http.site import ReadOnlySite
from runc_cpi.daemon.listening import Port
from runc_cpi.daemon.metering import Metering
from runc_cpi.daemon.status_page import StatusPage

# What a browser gets that was sent here by http://.
TLS_WANTED = (
    b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Type: text/plain\r\n\r\n"
    b"runc-cpid expects TLS at this address: use https\n"
)


class HTTPPort(Port):
    """
    Answers those who look, also while the daemon starts.

    @param programs_waiting: tells how many programs wait to be started.
    @param rounds: tell how the host is.
    @raise ConfigError: if a certificate or a key is no good.
    """

    key = "http.address"

    def __init__(
        self,
        reactor: Any,
        config: DaemonConfig,
        parts: Assembly,
        programs_waiting: Callable[[], int],
        rounds: Rounds,
    ) -> None:
        assert config.http is not None, "whoever wants no port makes none"
        http, root = config.http, Root()
        self._peer_log = PeerLog(reactor.seconds)
        self._readiness = Readiness(reactor)
        self._identity: Identity | None = None
        if http.tls is not None:
            self._identity = Identity(http.tls, self._peer_log, "http.tls")
        self._site = ReadOnlySite(root, self._peer_log, reactor, parts.vms.at)
        super().__init__(reactor, http.address, self._entrance(reactor, http, parts))
        root.putChild(b"healthz", Health(reactor))
        root.putChild(b"readyz", self._readiness)
        metering = Metering(reactor, config, parts, programs_waiting, rounds, root)
        metering.setServiceParent(self)
        StatusPage(reactor, config, parts, rounds, root).setServiceParent(self)
        if self._identity is not None:
            IdentityReloader(reactor, self._identity).setServiceParent(self)

    def _entrance(self, reactor: Any, config: HTTPConfig, parts: Assembly) -> Any:
        """Make what connections come to first."""
        factory: Any = self._site
        if self._identity is not None:
            encrypted = EncryptedFactory(
                self._identity,
                isClient=False,
                wrappedFactory=self._site,
                clock=reactor,
            )
            factory = HandshakeQueue(
                encrypted,
                LimitsConfig(),
                self._peer_log,
                reactor,
                parts.vms.at,
                TLS_WANTED,
            )
            if config.allow_from is None:
                return factory
        networks = [*LOOPBACK, *(config.allow_from or ())]
        return SourceFilter(factory, networks, list, self._peer_log, "http.allow_from")

    def startService(self) -> None:
        """Answer from now on."""
        super().startService()
        super().serve()

    def serve(self) -> None:
        """Say that the daemon takes calls."""
        self._readiness.is_ready = True

    async def _close(self) -> None:
        await super()._close()
        self._site.end()

    def reload(self) -> None:
        """Read the certificates again."""
        if self._identity is not None:
            self._identity.reload()
