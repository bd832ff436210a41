"""Where the daemon can be looked at by HTTP: the keys of C{http}."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from runc_cpi.daemon.config.addresses import (
    Network,
    TCPAddress,
    source_networks,
    tcp_address,
)
from runc_cpi.daemon.config.checks import text
from runc_cpi.daemon.config.keys import Section, key, section
from runc_cpi.daemon.config.sections import TLSConfig, tls_section


@dataclass(frozen=True, kw_only=True)
class HTTPConfig(Section):
    """A port at which one can look, and change nothing."""

    address: TCPAddress = key(
        "127.0.0.1:9998",
        text("IP:PORT or [IPv6]:PORT", tcp_address),
        "`IP:PORT` or `[IPv6]:PORT`",
    )
    tls: TLSConfig | None = section(
        TLSConfig,
        "as the `tls` of calls; who looks must show a certificate then",
        check=tls_section,
    )
    allow_from: tuple[Network, ...] | None = key(
        None,
        source_networks,
        "networks to take connections from besides the host's loopback addresses, such as "
        "`[192.0.2.0/24]`; with `tls`, none here means all",
    )


def http_section(key: str, raw: Any) -> HTTPConfig | None:
    """Check C{http}: keys, or nothing."""
    return None if raw is None else HTTPConfig.parse_section(key, raw)
