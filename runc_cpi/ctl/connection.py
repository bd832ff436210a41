"""How C{runc-cpictl} reaches the daemon: as a CPI does, by Twisted's own means."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from OpenSSL import SSL, crypto
from twisted.internet.endpoints import (
    HostnameEndpoint,
    UNIXClientEndpoint,
    wrapClientTLS,
)
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.ssl import (
    Certificate,
    KeyPair,
    PrivateCertificate,
    optionsForClientTLS,
    trustRootFromCertificates,
)

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
    return wrapClientTLS(options, plain)


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
