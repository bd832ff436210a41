"""Where C{runc-cpictl} finds the daemon of its host, and what it shows to it."""

from __future__ import annotations

import os
from pathlib import Path

import click

from runc_cpi.cpi import config as cpi_config
from runc_cpi.cpi.config import CPIConfig
from runc_cpi.cpi.tls import PEM
from runc_cpi.daemon.config import DaemonConfig, TCPAddress, TLSConfig, UnixAddress

# The client that runc-cpictl certs makes for the operator, beside the daemon's certificate.
OPERATOR = "operator"
# The one for who may look: tls.viewing_clients has it without allowed_clients, unless
# configured.
VIEWER = "viewer"
ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}


def of_daemon(config: DaemonConfig) -> CPIConfig:
    """
    Reach the daemon by its own configuration, on its own host.

    With TLS that takes the operator's certificate, where C{runc-cpictl certs} puts it.

    @raise click.UsageError: if there is none.
    """
    # An operator wants to know at once that it is not there.
    keys: dict[str, object] = {"connect_timeout": 0}
    if isinstance(config.address, UnixAddress):
        return cpi_config.parse({**keys, "address": config.address.path})
    host = ANY_ADDRESS.get(config.address.host, config.address.host)
    keys["address"] = str(TCPAddress(host, config.address.port))
    keys["tls"] = None if config.tls is None else _operators(config.tls)
    return cpi_config.parse({**keys, "network_type": "tcp"})


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
    raise click.UsageError(
        f"the daemon wants TLS, and there is no {OPERATOR}.crt beside its tls.certificate "
        f"that you may read: give --cpi, with a client certificate"
    )
