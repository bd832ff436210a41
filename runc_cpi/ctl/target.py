"""Where C{runc-cpictl} finds the daemon, and what it shows to it."""

from __future__ import annotations

import os
from pathlib import Path

from runc_cpi.cpi import config as cpi_config
from runc_cpi.cpi.config import CPIConfig
from runc_cpi.cpi.tls import PEM
from runc_cpi.ctl.certs import OPERATOR
from runc_cpi.daemon.config import (
    ConfigError,
    DaemonConfig,
    TCPAddress,
    TLSConfig,
    UnixAddress,
)

ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}


def of_cpi(path: str) -> CPIConfig:
    """
    Reach the daemon as a CPI does.

    @param path: of its configuration.
    @raise InvalidArgument: naming what is wrong with it.
    """
    return cpi_config.load(path, {})


def of_daemon(config: DaemonConfig) -> CPIConfig:
    """
    Reach the daemon by its own configuration, on its own host.

    With TLS that takes the operator's certificate, where C{runc-cpictl certs} puts it.

    @raise ConfigError: if there is none.
    """
    if isinstance(config.address, UnixAddress):
        return cpi_config.parse({"network_type": "unix", "address": config.address.path})
    host = ANY_ADDRESS.get(config.address.host, config.address.host)
    address = str(TCPAddress(host, config.address.port))
    tls = None if config.tls is None else _operators(config.tls)
    return cpi_config.parse({"network_type": "tcp", "address": address, "tls": tls})


def _operators(tls: TLSConfig) -> dict[str, str]:
    if not tls.certificate.startswith(PEM):
        directory = Path(tls.certificate).parent
        certificate = directory / f"{OPERATOR}.crt"
        if os.path.exists(certificate):
            return {
                "ca": str(directory / "ca.crt"),
                "certificate": str(certificate),
                "private_key": str(directory / f"{OPERATOR}.key"),
            }
    raise ConfigError(
        f"the daemon wants TLS, and there is no {OPERATOR}.crt beside its tls.certificate "
        f"that you may read: give --cpi, with a client certificate"
    )
