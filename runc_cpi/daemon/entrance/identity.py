"""The daemon's side of mutual TLS: its identity, and whom it lets in."""

from __future__ import annotations

import os
from datetime import datetime, timezone
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import NameOID
from OpenSSL import SSL, crypto
from twisted.application.service import Service
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from zope.interface import implementer

from runc_cpi.daemon.config import ConfigError, TLSConfig
from runc_cpi.daemon.config.certificates import certificates as certificates_of
from runc_cpi.daemon.config.certificates import pem
from runc_cpi.daemon.config.checks import PEM
from runc_cpi.daemon.entrance.peer_log import PeerLog

CHECK_INTERVAL = 10.0  # seconds
NAMES_OF_CLIENTS = (
    x509.DNSName,
    x509.IPAddress,
    x509.RFC822Name,
    x509.UniformResourceIdentifier,
)


@implementer(IOpenSSLServerConnectionCreator)
class Identity:
    """
    Makes the TLS side of each new connection, with what the configuration names now.

    A client must show a certificate that the CA signed and, where names are listed,
    that is for one of them.

    @param peer_log: is told who does not.
    @param key: of the configuration, which has C{config}.
    """

    log = Logger()

    def __init__(self, config: TLSConfig, peer_log: PeerLog, key: str = "tls") -> None:
        self._config, self._peer_log, self._key = config, peer_log, key
        self._stamp = self._files()
        self._context = self._load()

    def serverConnectionForTLS(self, protocol: Any) -> SSL.Connection:
        """Make the TLS side of a connection."""
        return SSL.Connection(self._context, None)

    def _load(self) -> SSL.Context:
        context = load(self._config, self._key)
        required = SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT
        context.set_verify(required, self._verify)
        return context

    def _verify(
        self, connection: SSL.Connection, shown: crypto.X509, code: int, depth: int, ok: int
    ) -> bool:
        allowed = self._config.allowed_clients
        if not ok:
            # The numbers are those of verify(1ssl).
            reason = f"refused a client's certificate: X509 error {code}"
        elif depth == 0 and allowed:
            names = client_names(shown.to_cryptography())
            if not names.isdisjoint([*allowed, *self._config.viewing_clients]):
                return True
            who = ", ".join(sorted(names)) or "nothing"
            allowed_by = f"{self._key}.allowed_clients"
            reason = f"refused a client named {who}: none is in {allowed_by}"
        else:
            return True
        # Twisted has the connection know the protocol that it belongs to.
        peer = str(connection.get_app_data().transport.getPeer().host)
        self._peer_log.warn(peer, "{reason} ({peer})", reason=reason, peer=peer)
        return False

    def reload(self) -> None:
        """
        Read the certificates again, for connections to come.

        What is there stays if the new ones are no good.
        """
        try:
            self._context = self._load()
        except ConfigError as error:
            self.log.error("certificates stay as they are: {error}", error=str(error))
        else:
            self.log.info("read the certificates again")

    def reload_if_changed(self) -> None:
        """Read the certificates again if their files are not what they were."""
        stamp = self._files()
        if stamp != self._stamp:
            self._stamp = stamp
            self.reload()

    def _files(self) -> list[tuple[str, int, int] | None]:
        stamps: list[tuple[str, int, int] | None] = []
        for value in (self._config.certificate, self._config.private_key, self._config.ca):
            if not value.startswith(PEM):
                try:
                    found = os.stat(value)
                    stamps.append((value, found.st_mtime_ns, found.st_ino))
                except OSError:
                    stamps.append(None)
        return stamps


class IdentityReloader(Service):
    """Reads the certificates again when their files change; it looks every 10 seconds."""

    def __init__(self, reactor: Any, identity: Identity) -> None:
        self._loop = LoopingCall(identity.reload_if_changed)
        self._loop.clock = reactor

    def startService(self) -> None:
        """Begin to look."""
        super().startService()
        self._loop.start(CHECK_INTERVAL, now=False)

    def stopService(self) -> None:
        """Look no more."""
        super().stopService()
        if self._loop.running:
            self._loop.stop()


def load(config: TLSConfig, key: str = "tls") -> SSL.Context:
    """
    Make a TLS context of the configuration, which does not look at clients yet.

    @param key: of the configuration, which has C{config}.
    @raise ConfigError: naming the key whose certificate or private key is no good.
    """
    certificates = certificates_of(f"{key}.certificate", config.certificate)
    authorities = certificates_of(f"{key}.ca", config.ca)
    for name, found in (("certificate", certificates), ("ca", authorities)):
        if found[0].not_valid_after_utc < datetime.now(timezone.utc):
            ends = f"{found[0].not_valid_after_utc:%Y-%m-%d}"
            raise ConfigError(f"{key}.{name}: expired on {ends}")
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    try:
        context.use_certificate(certificates[0])
        for extra in certificates[1:]:
            context.add_extra_chain_cert(extra)
    except SSL.Error as error:
        raise ConfigError(
            f"{key}.certificate: OpenSSL refuses it: {_reason(error)}"
        ) from None
    private_key = _private_key(f"{key}.private_key", config.private_key)
    try:
        context.use_privatekey(private_key)
        context.check_privatekey()
    except TypeError:
        raise ConfigError(
            f"{key}.private_key: is of a kind that TLS has no use for"
        ) from None
    except SSL.Error:
        raise ConfigError(
            f"{key}.private_key: does not belong to {key}.certificate"
        ) from None
    store = context.get_cert_store()
    assert store is not None
    for authority in authorities:
        store.add_cert(crypto.X509.from_cryptography(authority))
    # Sessions would let a client in again without a look at its certificate.
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_options(SSL.OP_NO_TICKET)
    # Those who only hold a connection are to hold little memory.
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)
    return context


def client_names(certificate: x509.Certificate) -> set[str]:
    """Return the names a certificate is for: its alternative names and common names."""
    names = {
        str(attribute.value)
        for attribute in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    }
    try:
        extension = certificate.extensions.get_extension_for_class(
            x509.SubjectAlternativeName
        )
    except x509.ExtensionNotFound:
        return names
    return names | {
        str(name.value) for name in extension.value if isinstance(name, NAMES_OF_CLIENTS)
    }


def _private_key(key: str, value: str) -> Any:
    try:
        return load_pem_private_key(pem(key, value), None)
    except (ValueError, TypeError):
        raise ConfigError(f"{key}: holds no PEM key without password") from None


def _reason(error: SSL.Error) -> str:
    reasons = error.args[0] if error.args else ()
    return "; ".join(str(reason[-1]) for reason in reasons) or "no reason given"
