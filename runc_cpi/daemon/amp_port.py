"""The port that CPIs call: who may connect, by which way, and what answers."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

from twisted.logger import Logger

from runc_cpi.daemon.config import DaemonConfig, TCPAddress
from runc_cpi.daemon.entrance.access import LOOPBACK, Access
from runc_cpi.daemon.entrance.admission import CallerCheck, SourceFilter
from runc_cpi.daemon.entrance.encryption import EncryptedFactory
from runc_cpi.daemon.entrance.handshakes import HandshakeQueue
from runc_cpi.daemon.entrance.identity import Identity, IdentityReloader
from runc_cpi.daemon.entrance.peer_log import PeerLog
from runc_cpi.daemon.entrance.viewers import Viewers
from runc_cpi.daemon.host.network.sockets import KernelSockets
from runc_cpi.daemon.listening import Port
from runc_cpi.daemon.rpc.factory import CPIFactory
from runc_cpi.daemon.rpc.subjects import Subjects


class AMPPort(Port):
    """
    Takes the calls of CPIs and of the operator's tool.

    @raise ConfigError: if a certificate or a key is no good.
    """

    log = Logger()

    def __init__(self, reactor: Any, config: DaemonConfig, subjects: Subjects) -> None:
        self._peer_log = PeerLog(reactor.seconds)
        viewers = Viewers(() if config.tls is None else config.tls.viewing_clients)
        self._calls = CPIFactory(subjects, config.limits, self._peer_log, reactor, viewers)
        self._identity: Identity | None = None
        if config.tls is not None:
            self._identity = Identity(config.tls, self._peer_log)
        super().__init__(
            reactor,
            config.address,
            self._entrance(reactor, config, subjects),
            mode=config.socket_mode,
            group=config.socket_group,
        )
        if self._identity is not None:
            IdentityReloader(reactor, self._identity).setServiceParent(self)

    def _entrance(self, reactor: Any, config: DaemonConfig, subjects: Subjects) -> Any:
        """Make what connections come to first; a socket file's may all come in."""
        peer_log = self._peer_log
        if not isinstance(config.address, TCPAddress):
            return self._calls
        if self._identity is None:
            self._warn_of_plain(config.address)
            access = Access(
                networks=config.allow_from or (),
                users=config.allow_users,
                sockets=KernelSockets(),
                vm_at=subjects.vms.at,
            )
            return CallerCheck(self._calls, access, peer_log, reactor)
        encrypted = EncryptedFactory(
            self._identity, isClient=False, wrappedFactory=self._calls, clock=reactor
        )
        queue = HandshakeQueue(encrypted, config.limits, peer_log, reactor, subjects.vms.at)
        if config.allow_from is None:
            return queue
        return SourceFilter(
            queue, [*LOOPBACK, *config.allow_from], subjects.vms.networks, peer_log
        )

    def _warn_of_plain(self, address: TCPAddress) -> None:
        if not ip_address(address.host).is_loopback:
            self.log.warn(
                "address: VMs and other machines can reach {address}, where what is said "
                "is not encrypted, and callers are known by their addresses alone: set tls",
                address=str(address),
            )

    def reload(self) -> None:
        """Read the certificates again."""
        if self._identity is not None:
            self._identity.reload()

    async def finish(self, seconds: float) -> bool:
        """
        Refuse new calls, and wait for those under way.

        @param seconds: for how long at most.
        @return: whether all of them were answered.
        """
        return await self._calls.drain(seconds)
