"""The whole configuration: after L{DaemonConfig.parse} there are only good values."""

from __future__ import annotations

import grp
import pwd
import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Network,
    ip_address,
    ip_network,
)
from pathlib import Path
from typing import Any, Self

from runc_cpi.daemon.config.checks import (
    ConfigError,
    check_keys,
    choice,
    number,
    quoted,
    texts,
    whole_number,
)
from runc_cpi.daemon.config.sections import (
    DisksConfig,
    LimitsConfig,
    SecurityConfig,
    TLSConfig,
    VMsConfig,
)

Network = IPv4Network | IPv6Network

NETWORK_TYPES = ("unix", "tcp")
LOG_FORMATS = ("text", "json")
RESTARTS = ("no", "on-failure")
DEFAULT_WORK_DIR = "/var/lib/runc-cpid"
DEFAULT_ADDRESSES = {"unix": "/run/runc-cpid/cpid.sock", "tcp": "127.0.0.1:9999"}
DEFAULT_CIDR = "10.0.0.0/16"
DEFAULT_BRIDGE = "runc0"
DEFAULT_RUNTIME = "runc"
DEFAULT_SOCKET_MODE = "0600"
UNIX_PATH_LIMIT = 107  # unix(7)
MAXIMUM_UID = (1 << 32) - 2  # the last one means no user
UNIX_KEYS = ("socket_mode", "socket_group")
TCP_KEYS = ("tls", "allow_from", "allow_users")
INTERFACE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,14}")
# overlayfs takes a comma or colon in a path for its own (kernel's overlayfs.rst).
PLAIN_PATH = re.compile(r"/[A-Za-z0-9._/-]*")


@dataclass(frozen=True)
class TCPAddress:
    """Where to listen: an IP address and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


@dataclass(frozen=True)
class UnixAddress:
    """Where to listen: a socket file."""

    path: str

    def __str__(self) -> str:
        return self.path


@dataclass(frozen=True, kw_only=True)
class DaemonConfig:
    """
    What the daemon is told.

    @ivar work_dir: where everything is kept.
    @ivar address: where calls are taken.
    @ivar network: the network of the VMs.
    @ivar gateway: the host's address in it.
    @ivar bridge: the name of the host's interface to it.
    @ivar runtime: the OCI runtime, by name or path.
    @ivar runtime_timeout: after how many seconds an operation of it is given up.
    @ivar visit_timeout: after how many seconds work on a VM's files is given up.
    @ivar log_format: C{text} or C{json}.
    @ivar restart: whether to boot a VM again whose first process failed.
    @ivar disks: how persistent disks are made.
    @ivar tls: mutual TLS, or L{None}.
    @ivar allow_from: from where connections are taken beside the usual, or L{None}.
    @ivar allow_users: uids of the host whose processes may connect without TLS, beside
        root's.
    @ivar limits: what a peer may ask of the daemon.
    @ivar security: how much VMs are trusted with.
    @ivar vms: what each VM gets.
    @ivar socket_mode: the mode of a socket file.
    @ivar socket_group: the number of the group that has it, or L{None} for root's.
    """

    work_dir: Path
    address: TCPAddress | UnixAddress
    network: IPv4Network
    gateway: IPv4Address
    bridge: str
    runtime: str
    runtime_timeout: float
    visit_timeout: float
    log_format: str
    restart: bool
    disks: DisksConfig
    tls: TLSConfig | None
    allow_from: tuple[Network, ...] | None
    allow_users: frozenset[int]
    limits: LimitsConfig
    security: SecurityConfig
    vms: VMsConfig
    socket_mode: int
    socket_group: int | None

    @property
    def interface(self) -> IPv4Interface:
        """The gateway's address with the size of the network."""
        return IPv4Interface(f"{self.gateway}/{self.network.prefixlen}")

    @classmethod
    def parse(cls, raw: Any) -> Self:
        """
        Check a configuration as YAML gives it.

        @raise ConfigError: naming the key, the value and what is accepted.
        """
        if raw is None:
            raw = {}
        if not isinstance(raw, dict):
            raise ConfigError("the file must hold a mapping of keys to values")
        check_keys("", raw, KEYS)
        for key in raw.keys() & TEXT_KEYS:
            # Of all these values only a text can be right.
            if not isinstance(raw[key], str):
                raise ConfigError(f"{key}: {quoted(raw[key])} must be {KEYS[key]}")
        network = _network(raw.get("cidr", DEFAULT_CIDR))
        address = _listen_address(raw)
        tls = TLSConfig.parse(raw.get("tls"))
        for key in UNIX_KEYS if isinstance(address, TCPAddress) else TCP_KEYS:
            if key in raw:
                other = "unix" if key in UNIX_KEYS else "tcp"
                raise ConfigError(f"{key}: goes with network_type {other} alone")
        if tls is not None and "allow_users" in raw:
            raise ConfigError("allow_users: goes without tls alone; certificates decide")
        return cls(
            work_dir=_directory("work_dir", raw.get("work_dir", DEFAULT_WORK_DIR)),
            address=address,
            network=network,
            gateway=_gateway(raw, network),
            bridge=_bridge(raw.get("bridge", DEFAULT_BRIDGE)),
            runtime=_runtime(raw.get("runtime", DEFAULT_RUNTIME)),
            runtime_timeout=number(
                "runtime_timeout", raw.get("runtime_timeout", 60), 1, 3600
            ),
            visit_timeout=number("visit_timeout", raw.get("visit_timeout", 30), 1, 600),
            log_format=choice("log_format", raw.get("log_format", "text"), LOG_FORMATS),
            restart=_restart(raw.get("restart", "no")),
            disks=DisksConfig.parse(raw.get("disks")),
            tls=tls,
            allow_from=_networks(raw.get("allow_from")),
            allow_users=_users(raw.get("allow_users", [])),
            limits=LimitsConfig.parse(raw.get("limits")),
            security=SecurityConfig.parse(raw.get("security")),
            vms=VMsConfig.parse(raw.get("vms")),
            socket_mode=_mode(raw.get("socket_mode", DEFAULT_SOCKET_MODE)),
            socket_group=_group(raw.get("socket_group")),
        )


KEYS: Mapping[str, str] = {
    "work_dir": "an absolute path",
    "network_type": "tcp or unix",
    "address": "IP:PORT, [IPv6]:PORT or the path of a socket",
    "cidr": "an IPv4 network such as 10.0.0.0/16",
    "gateway": "an IPv4 address in cidr",
    "bridge": "an interface name",
    "runtime": "the name or path of an OCI runtime",
    "runtime_timeout": "a number of seconds",
    "visit_timeout": "a number of seconds",
    "log_format": "text or json",
    "restart": "no or on-failure",
    "disks": "keys and values",
    "tls": "the path of a directory, or keys and values",
    "allow_from": "a list of networks",
    "allow_users": "a list of users",
    "limits": "keys and values",
    "security": "keys and values",
    "vms": "keys and values",
    "socket_mode": "a file mode in quotes, such as '0660'",
    "socket_group": "the name of a group",
}
TEXT_KEYS = KEYS.keys() - {
    *("disks", "tls", "allow_from", "allow_users", "limits", "security", "vms"),
    *("restart", "runtime_timeout", "visit_timeout"),
}


def _directory(key: str, value: str) -> Path:
    if not PLAIN_PATH.fullmatch(value) or ".." in value.split("/") or not value.strip("/"):
        raise ConfigError(
            f"{key}: {value!r} must be an absolute path of letters, digits and ._-/"
        )
    return Path(value)


def _listen_address(raw: Mapping[str, str]) -> TCPAddress | UnixAddress:
    kind = choice("network_type", raw.get("network_type", "unix"), NETWORK_TYPES)
    value = raw.get("address", DEFAULT_ADDRESSES[kind])
    if kind == "tcp":
        return _tcp_address(value)
    if not value.startswith("/") or "\0" in value:
        raise ConfigError(
            f"address: {value!r} must be the absolute path of a socket, as "
            "network_type is unix"
        )
    if len(value.encode()) > UNIX_PATH_LIMIT:
        raise ConfigError(
            f"address: a socket's path may have {UNIX_PATH_LIMIT} bytes, this one has "
            f"{len(value.encode())}"
        )
    return UnixAddress(value)


def _tcp_address(value: str) -> TCPAddress:
    host, colon, port = value.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    try:
        if not colon or not port.isascii() or not port.isdigit():
            raise ValueError
        version = ip_address(host[1:-1] if bracketed else host).version
        if bracketed != (version == 6) or not 0 < int(port) < 65536:
            raise ValueError
    except ValueError:
        raise ConfigError(
            f"address: {value!r} must be IP:PORT or [IPv6]:PORT, as network_type is tcp"
        ) from None
    return TCPAddress(host.strip("[]"), int(port))


def _network(value: str) -> IPv4Network:
    try:
        network = IPv4Network(value)
    except ValueError as error:
        raise ConfigError(
            f"cidr: {value!r} must be an IPv4 network such as {DEFAULT_CIDR}: {error}"
        ) from None
    if network.is_loopback or network.is_multicast or network.prefixlen == 0:
        raise ConfigError(f"cidr: {value!r} is no network that VMs can have")
    if network.prefixlen > 30:
        raise ConfigError(f"cidr: {value!r} has no room for VMs; /30 is the smallest")
    return network


def _gateway(raw: Mapping[str, str], network: IPv4Network) -> IPv4Address:
    if "gateway" not in raw:
        return network.network_address + 1
    value = raw["gateway"]
    try:
        gateway = IPv4Address(value)
        if gateway not in network:
            raise ValueError
        if gateway in (network.network_address, network.broadcast_address):
            raise ValueError
    except ValueError:
        raise ConfigError(
            f"gateway: {value!r} must be the address of a host in {network}"
        ) from None
    return gateway


def _bridge(value: str) -> str:
    if not INTERFACE_NAME.fullmatch(value):
        raise ConfigError(
            f"bridge: {value!r} must be an interface name: 1 to 15 letters, digits and ._-"
        )
    return value


def _runtime(value: str) -> str:
    if not value or value.startswith("-") or "\0" in value:
        raise ConfigError(f"runtime: {value!r} must be the name or path of a program")
    return value


def _restart(value: Any) -> bool:
    # Without quotes YAML takes "no" for a truth value.
    policy = "no" if value is False else value
    return choice("restart", policy, RESTARTS) == "on-failure"


def _networks(raw: Any) -> tuple[Network, ...] | None:
    if raw is None:
        return None
    try:
        return tuple(ip_network(value) for value in texts("allow_from", raw))
    except ValueError as error:
        raise ConfigError(
            f"allow_from: must be networks such as 192.0.2.0/24: {error}"
        ) from None


def _users(raw: Any) -> frozenset[int]:
    if not isinstance(raw, list):
        raise ConfigError(f"allow_users: {quoted(raw)} must be a list of names or uids")
    return frozenset(_user(value) for value in raw)


def _user(value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return whole_number("allow_users", value, 0, MAXIMUM_UID)
    if not isinstance(value, str) or "\0" in value:
        raise ConfigError(f"allow_users: {quoted(value)} must be a user's name or uid")
    try:
        return pwd.getpwnam(value).pw_uid
    except KeyError:
        raise ConfigError(f"allow_users: there is no user {value!r}") from None


def _mode(value: str) -> int:
    if not re.fullmatch(r"0?[0-7]{3}", value):
        raise ConfigError(f"socket_mode: {value!r} must be octal digits, as in '0660'")
    return int(value, 8)


def _group(value: str | None) -> int | None:
    if value is None:
        return None
    try:
        return grp.getgrnam(value).gr_gid
    except KeyError:
        raise ConfigError(f"socket_group: there is no group {value!r}") from None
