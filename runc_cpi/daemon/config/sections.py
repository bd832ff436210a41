"""The parts of the configuration that hold several keys."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

from runc_cpi.daemon.config.checks import (
    PEM,
    ConfigError,
    boolean,
    choice,
    mapping,
    number,
    quoted,
    texts,
    whole_number,
)

DISK_DRIVERS = ("image", "directory")
DISK_KEYS = ("driver", "filesystem", "direct_io", "allocation", "overcommit")
FILESYSTEMS = ("ext4", "xfs")
ALLOCATIONS = ("sparse", "full")
TLS_KEYS = ("certificate", "private_key", "ca", "allowed_clients")
TLS_FILES = {
    "certificate": "server.crt",
    "private_key": "server.key",
    "ca": "ca.crt",
}
PROFILES = ("default", "privileged")
DEFAULT_PIDS = 32768
LEAST_PIDS = 64
MOST_PIDS = 1 << 22  # the kernel has no more (proc(5), pid_max)
MEBIBYTE = 1 << 20


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
        raw = mapping("disks", raw, DISK_KEYS)
        return cls(
            driver=choice("disks.driver", raw.get("driver", "image"), DISK_DRIVERS),
            filesystem=choice(
                "disks.filesystem", raw.get("filesystem", "ext4"), FILESYSTEMS
            ),
            direct_io=boolean("disks.direct_io", raw.get("direct_io", True)),
            allocation=choice(
                "disks.allocation", raw.get("allocation", "sparse"), ALLOCATIONS
            ),
            overcommit=number("disks.overcommit", raw.get("overcommit", 1.0), 0.01, 1000),
        )


@dataclass(frozen=True, kw_only=True)
class TLSConfig:
    """
    Mutual TLS.

    @ivar certificate: of the daemon: PEM, or the path of a file of it; so are the others.
    @ivar private_key: that belongs to it.
    @ivar ca: that signs the clients' certificates.
    @ivar allowed_clients: names that a client's certificate must be for one of; without
        any, whatever C{ca} signed will do.
    """

    certificate: str
    private_key: str
    ca: str
    allowed_clients: tuple[str, ...]

    @classmethod
    def parse(cls, raw: Any) -> Self | None:
        """
        Check what C{tls} holds, if it is there: keys, or the path of a directory.

        The directory has the files that C{runc-cpictl certs} makes.

        @raise ConfigError: naming the key and what is accepted.
        """
        if raw is None:
            return None
        if isinstance(raw, str):
            raw = _files_in(raw)
        raw = mapping("tls", raw, TLS_KEYS)
        for key in TLS_KEYS[:3]:
            value = raw.get(key)
            if (
                not isinstance(value, str)
                or not value.strip()
                # A text of several lines is no path, and nothing to show.
                or ("\n" in value.strip() and not value.lstrip().startswith(PEM))
            ):
                raise ConfigError(f"tls.{key}: must be PEM, or the path of a file of it")
        return cls(
            certificate=raw["certificate"].lstrip(),
            private_key=raw["private_key"].lstrip(),
            ca=raw["ca"].lstrip(),
            allowed_clients=texts("tls.allowed_clients", raw.get("allowed_clients", [])),
        )


def _files_in(directory: str) -> dict[str, str]:
    if not directory.startswith("/") or not directory.isprintable():
        raise ConfigError(
            f"tls: {quoted(directory)} must be keys and values, or the absolute path of a "
            "directory made by runc-cpictl certs"
        )
    return {key: f"{directory.rstrip('/')}/{name}" for key, name in TLS_FILES.items()}


@dataclass(frozen=True, kw_only=True)
class LimitsConfig:
    """
    What a peer may ask of the daemon.

    @ivar connections: how many that have made a call there may be at once.
    @ivar strangers: how many more, that have made none yet.
    @ivar calls: how many calls of one connection may be under way.
    @ivar uploads: how many stemcells may be streamed over one connection at once.
    @ivar message_bytes: the size of one message.
    @ivar first_seconds: how long the first message may take, TLS handshake included.
    @ivar idle_seconds: how long a connection may do nothing.
    @ivar finish_seconds: how long calls may go on once the daemon is to stop.
    """

    connections: int = 512
    strangers: int = 512
    calls: int = 32
    uploads: int = 4
    message_bytes: int = 32 * MEBIBYTE
    first_seconds: float = 15
    idle_seconds: float = 300
    finish_seconds: float = 20

    @classmethod
    def parse(cls, raw: Any) -> Self:
        """
        Check what C{limits} holds.

        @raise ConfigError: naming the key, the value and what is accepted.
        """
        raw = mapping("limits", raw, LIMITS)
        values: dict[str, Any] = {}
        for key, value in raw.items():
            whole, most = LIMITS[key]
            check = whole_number if whole else number
            values[key] = check(f"limits.{key}", value, 1, most)
        return cls(**values)


LIMITS: dict[str, tuple[bool, int]] = {
    "connections": (True, 100_000),
    "strangers": (True, 100_000),
    "calls": (True, 10_000),
    "uploads": (True, 1000),
    "message_bytes": (True, 1024 * MEBIBYTE),
    "first_seconds": (False, 3600),
    "idle_seconds": (False, 86400),
    "finish_seconds": (False, 3600),
}


@dataclass(frozen=True, kw_only=True)
class SecurityConfig:
    """
    How much VMs are trusted with.

    @ivar privileged: whether they get all that the daemon has; otherwise what no
        stemcell needs is kept from them.
    @ivar anti_spoofing: whether they may only send from their own addresses.
    """

    privileged: bool
    anti_spoofing: bool

    @classmethod
    def parse(cls, raw: Any) -> Self:
        """
        Check what C{security} holds.

        @raise ConfigError: naming the key, the value and what is accepted.
        """
        raw = mapping("security", raw, ("profile", "anti_spoofing"))
        profile = choice("security.profile", raw.get("profile", "default"), PROFILES)
        return cls(
            privileged=profile == "privileged",
            anti_spoofing=boolean("security.anti_spoofing", raw.get("anti_spoofing", True)),
        )


@dataclass(frozen=True, kw_only=True)
class VMsConfig:
    """
    What each VM gets unless its C{cloud_properties} say otherwise.

    @ivar pids: how many processes and threads it may have.
    """

    pids: int

    @classmethod
    def parse(cls, raw: Any) -> Self:
        """
        Check what C{vms} holds.

        @raise ConfigError: naming the key, the value and what is accepted.
        """
        raw = mapping("vms", raw, ("pids",))
        pids = raw.get("pids", DEFAULT_PIDS)
        return cls(pids=whole_number("vms.pids", pids, LEAST_PIDS, MOST_PIDS))
