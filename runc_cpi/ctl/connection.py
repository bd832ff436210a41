"""How C{runc-cpictl} reaches the daemon: as a CPI does, by Twisted's own means."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.internet.endpoints import (
    HostnameEndpoint,
    UNIXClientEndpoint,
    wrapClientTLS,
)
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.ssl import (
    Certificate,
    PrivateCertificate,
    optionsForClientTLS,
    trustRootFromCertificates,
)

from runc_cpi.cpi.config import CPIConfig, split_address
from runc_cpi.cpi.tls import PEM


def endpoint(reactor: Any, config: CPIConfig) -> IStreamClientEndpoint:
    """
    Return what connects to the daemon.

    With TLS the daemon's certificate is verified for its name or IP address, which
    service-identity does for Twisted.

    @raise OSError: if a certificate's file cannot be read.
    """
    if config.network_type == "unix":
        return UNIXClientEndpoint(reactor, config.address)
    host, port = split_address(config.address)
    plain = HostnameEndpoint(reactor, host, port)
    if config.tls is None:
        return plain
    authority = Certificate.loadPEM(_pem(config.tls["ca"]))
    own = PrivateCertificate.loadPEM(
        _pem(config.tls["private_key"]) + b"\n" + _pem(config.tls["certificate"])
    )
    options = optionsForClientTLS(
        host, trustRoot=trustRootFromCertificates([authority]), clientCertificate=own
    )
    return wrapClientTLS(options, plain)


def _pem(value: str) -> bytes:
    return value.encode("ascii") if value.startswith(PEM) else Path(value).read_bytes()
