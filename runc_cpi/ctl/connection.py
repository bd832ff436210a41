"""How C{runc-cpictl} reaches the daemon: as a CPI does, by Twisted's own means."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path
from typing import Any, TypeVar

from OpenSSL import SSL, crypto
from service_identity import (
    CertificateError,
    VerificationError,
    hazmat,
)
from service_identity.pyopenssl import extract_patterns
from twisted.internet.endpoints import (
    HostnameEndpoint,
    UNIXClientEndpoint,
    wrapClientTLS,
)
from twisted.internet.interfaces import (
    IOpenSSLClientConnectionCreator,
    IStreamClientEndpoint,
)
from twisted.internet.ssl import (
    Certificate,
    KeyPair,
    PrivateCertificate,
    optionsForClientTLS,
    trustRootFromCertificates,
)
from twisted.python.failure import Failure
from zope.interface import implementer

from runc_cpi.cpi.config import CPIConfig, split_address
from runc_cpi.cpi.tls import PEM
from runc_cpi.errors import InvalidArgument

T = TypeVar("T")


def endpoint(reactor: Any, config: CPIConfig) -> IStreamClientEndpoint:
    """
    Return what connects to the daemon.

    With TLS the daemon's certificate is verified for its name or IP address, which
    service-identity does for Twisted.

    @raise InvalidArgument: naming the certificate or key that is no good.
    """
    if config.network_type == "unix":
        return UNIXClientEndpoint(reactor, config.address)
    host, port = split_address(config.address)
    plain = HostnameEndpoint(reactor, host, port)
    if config.tls is None:
        return plain
    authority = _loaded("ca", config, Certificate.loadPEM)
    key = _loaded("private_key", config, _private_key)
    own = _loaded("certificate", config, lambda pem: _pair(pem, key))
    try:
        options = optionsForClientTLS(
            host, trustRoot=trustRootFromCertificates([authority]), clientCertificate=own
        )
    except SSL.Error:
        raise InvalidArgument(
            "tls.private_key: does not belong to tls.certificate"
        ) from None
    return wrapClientTLS(_Named(options, host), plain)


@implementer(IOpenSSLClientConnectionCreator)
class _Named:
    """
    Makes the TLS side of a connection to a daemon whose certificate is for C{host}.

    Twisted checks that as well, and yet accepts a certificate that is for nothing at all.
    """

    def __init__(self, creator: Any, host: str) -> None:
        self._creator = creator
        try:
            self._wanted: Any = hazmat.IPAddress_ID(str(ip_address(host)))
        except ValueError:
            self._wanted = hazmat.DNS_ID(host)

    def clientConnectionForTLS(self, protocol: Any) -> SSL.Connection:
        """Make the TLS side of a connection."""

        def verify(
            connection: Any, shown: crypto.X509, code: int, depth: int, ok: int
        ) -> bool:
            if ok and depth == 0:
                try:
                    patterns = extract_patterns(shown)
                    hazmat.verify_service_identity(patterns, [self._wanted], [])
                except (CertificateError, VerificationError):
                    protocol.failVerification(Failure(VerificationError(errors=[])))
                    return False
            return bool(ok)

        connection: SSL.Connection = self._creator.clientConnectionForTLS(protocol)
        connection.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, verify)
        return connection


def _loaded(name: str, config: CPIConfig, load: Callable[[bytes], T]) -> T:
    assert config.tls is not None
    value: str = config.tls[name]
    try:
        inline = value.startswith(PEM)
        return load(value.encode("ascii") if inline else Path(value).read_bytes())
    except OSError as error:
        raise InvalidArgument(f"tls.{name}: {value}: {error.strerror}") from None
    except (crypto.Error, ValueError):
        raise InvalidArgument(f"tls.{name}: no usable PEM") from None


def _private_key(pem: bytes) -> bytes:
    KeyPair.load(pem, crypto.FILETYPE_PEM)
    return pem


def _pair(certificate: bytes, key: bytes) -> PrivateCertificate:
    pair: PrivateCertificate = PrivateCertificate.loadPEM(key + b"\n" + certificate)
    return pair
