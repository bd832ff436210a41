"""The daemon's configuration: after L{DaemonConfig.parse} there are only good values."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, ip_address
from pathlib import Path
from typing import Any, Self

NETWORK_TYPES = ("unix", "tcp")
DISK_DRIVERS = ("image", "directory")
DISK_KEYS = ("driver", "filesystem", "direct_io", "allocation", "overcommit")
FILESYSTEMS = ("ext4", "xfs")
ALLOCATIONS = ("sparse", "full")
LOG_FORMATS = ("text", "json")
DEFAULT_WORK_DIR = "/var/lib/runc-cpid"
DEFAULT_ADDRESSES = {"unix": "/run/runc-cpid/cpid.sock", "tcp": "127.0.0.1:9999"}
DEFAULT_CIDR = "10.0.0.0/16"
DEFAULT_BRIDGE = "runc0"
DEFAULT_RUNTIME = "runc"
UNIX_PATH_LIMIT = 107  # unix(7)
INTERFACE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,14}")
# overlayfs takes a comma or colon in a path for its own (kernel's overlayfs.rst).
PLAIN_PATH = re.compile(r"/[A-Za-z0-9._/-]*")


class ConfigError(Exception):
    """A value is not acceptable; the message names the key and what is."""


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
class DisksConfig:
    """
    How persistent disks are made.

    @ivar driver: C{image} or C{directory}.
    @ivar filesystem: C{ext4} or C{xfs}.
    @ivar direct_io: whether to bypass the page cache of the host's file system.
    @ivar allocation: C{sparse} or C{full}.
    @ivar overcommit: how many bytes may be promised for each that is free.
    """

    driver: str
    filesystem: str
    direct_io: bool
    allocation: str
    overcommit: float

    @classmethod
    def parse(cls, raw: Any) -> Self:
        """
        Check what C{disks} holds.

        @raise ConfigError: naming the key, the value and what is accepted.
        """
        if raw is None:
            raw = {}
        if not isinstance(raw, dict):
            raise ConfigError(f"disks: {raw!r} must be keys and values")
        _check_keys("disks.", raw, DISK_KEYS)
        direct_io = raw.get("direct_io", True)
        if not isinstance(direct_io, bool):
            raise ConfigError(f"disks.direct_io: {direct_io!r} must be true or false")
        overcommit = raw.get("overcommit", 1.0)
        if (
            isinstance(overcommit, bool)
            or not isinstance(overcommit, (int, float))
            or not 0 < overcommit <= 1000
        ):
            raise ConfigError(
                f"disks.overcommit: {overcommit!r} must be a number above 0, up to 1000"
            )
        return cls(
            driver=_choice("disks.driver", raw.get("driver", "image"), DISK_DRIVERS),
            filesystem=_choice(
                "disks.filesystem", raw.get("filesystem", "ext4"), FILESYSTEMS
            ),
            direct_io=direct_io,
            allocation=_choice(
                "disks.allocation", raw.get("allocation", "sparse"), ALLOCATIONS
            ),
            overcommit=float(overcommit),
        )


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
    @ivar log_format: C{text} or C{json}.
    @ivar disks: how persistent disks are made.
    """

    work_dir: Path
    address: TCPAddress | UnixAddress
    network: IPv4Network
    gateway: IPv4Address
    bridge: str
    runtime: str
    log_format: str
    disks: DisksConfig

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
        _check_keys("", raw, KEYS)
        for key in raw.keys() - {"disks"}:
            # Of all these values only a text can be right.
            if not isinstance(raw[key], str):
                raise ConfigError(f"{key}: {raw[key]!r} must be {KEYS[key]}")
        network = _network(raw.get("cidr", DEFAULT_CIDR))
        return cls(
            work_dir=_directory("work_dir", raw.get("work_dir", DEFAULT_WORK_DIR)),
            address=_listen_address(raw),
            network=network,
            gateway=_gateway(raw, network),
            bridge=_bridge(raw.get("bridge", DEFAULT_BRIDGE)),
            runtime=_runtime(raw.get("runtime", DEFAULT_RUNTIME)),
            log_format=_choice("log_format", raw.get("log_format", "text"), LOG_FORMATS),
            disks=DisksConfig.parse(raw.get("disks")),
        )


KEYS: Mapping[str, str] = {
    "work_dir": "an absolute path",
    "network_type": "tcp or unix",
    "address": "IP:PORT, [IPv6]:PORT or the path of a socket",
    "cidr": "an IPv4 network such as 10.0.0.0/16",
    "gateway": "an IPv4 address in cidr",
    "bridge": "an interface name",
    "runtime": "the name or path of an OCI runtime",
    "log_format": "text or json",
    "disks": "keys and values",
}


def _check_keys(prefix: str, raw: Mapping[Any, Any], known: Collection[str]) -> None:
    unknown = sorted(str(key) for key in raw.keys() - set(known))
    if unknown:
        raise ConfigError(
            f"{prefix}{unknown[0]}: unknown key; the known ones are {', '.join(known)}"
        )


def _choice(key: str, value: Any, choices: tuple[str, ...]) -> str:
    if not isinstance(value, str) or value not in choices:
        raise ConfigError(f"{key}: {value!r} must be {' or '.join(choices)}")
    return value


def _directory(key: str, value: str) -> Path:
    if not PLAIN_PATH.fullmatch(value) or ".." in value.split("/"):
        raise ConfigError(
            f"{key}: {value!r} must be an absolute path of letters, digits and ._-/"
        )
    return Path(value)


def _listen_address(raw: Mapping[str, str]) -> TCPAddress | UnixAddress:
    kind = _choice("network_type", raw.get("network_type", "unix"), NETWORK_TYPES)
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
