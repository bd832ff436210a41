"""The daemon's configuration file."""

from runc_cpi.daemon.config.addresses import TCPAddress, UnixAddress
from runc_cpi.daemon.config.checks import ConfigError
from runc_cpi.daemon.config.daemon import DaemonConfig
from runc_cpi.daemon.config.file import load
from runc_cpi.daemon.config.http import HTTPConfig
from runc_cpi.daemon.config.networks import NetworkConfig
from runc_cpi.daemon.config.peers import OverlayConfig, PeerConfig
from runc_cpi.daemon.config.sections import (
    DisksConfig,
    LimitsConfig,
    SecurityConfig,
    TLSConfig,
    VMsConfig,
)

__all__ = [
    "ConfigError",
    "DaemonConfig",
    "DisksConfig",
    "HTTPConfig",
    "LimitsConfig",
    "NetworkConfig",
    "OverlayConfig",
    "PeerConfig",
    "SecurityConfig",
    "TCPAddress",
    "TLSConfig",
    "UnixAddress",
    "VMsConfig",
    "load",
]
