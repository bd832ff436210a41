"""The parts of the configuration that hold several keys."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typing_extensions import Self

from runc_cpi.daemon.base.bounds import (
    LEAST_PIDS,
    LEAST_ROOT_DISK_SIZE,
    MOST_PIDS,
    MOST_ROOT_DISK_SIZE,
)
from runc_cpi.daemon.base.id_range import SIZE
from runc_cpi.daemon.base.units import MEBIBYTE
from runc_cpi.daemon.config.checks import (
    PEM,
    ConfigError,
    boolean,
    choice,
    number,
    quoted,
    texts,
    whole_number,
)
from runc_cpi.daemon.config.host import PLAIN_PATH
from runc_cpi.daemon.config.keys import Section, key, required

# The files that runc-cpictl certs makes, in the order of the keys of tls.
TLS_FILES = {
    "certificate": "server.crt",
    "private_key": "server.key",
    "ca": "ca.crt",
}
# By systemd's table of ids nothing uses these: above those of its containers, and below
# its foreign users (systemd.io/UIDS-GIDS).
IDS = "1879048192-2147352575"
LXCFS = Path("/var/lib/lxcfs")  # where distributions mount it
HIGHEST_ID = (1 << 31) - 1  # programs take larger ones for negative numbers


@dataclass(frozen=True, kw_only=True)
class DisksConfig(Section):
    """How persistent disks are made."""

    driver: str = key(
        "image",
        choice("image", "directory"),
        "`image`: files on loop devices. `directory`: plain directories, for hosts without "
        "loop devices; sizes are not kept to, and agents cannot migrate from disk to disk, "
        "so let the director grow them in place (`enable_cpi_resize_disk`)",
    )
    filesystem: str = key(
        "ext4",
        choice("ext4", "xfs"),
        "`ext4` or `xfs`; a disk's `cloud_properties.filesystem` overrides it",
    )
    direct_io: bool = key(
        True,
        boolean,
        "bypass the host's page cache. Large writes are faster and steadier with it, small "
        "synced writes are slower",
    )
    allocation: str = key(
        "sparse",
        choice("sparse", "full"),
        "`full` takes a disk's space when it is made; a VM that trims its file system "
        "gives some of it back",
    )
    overcommit: float = key(
        1.0,
        number(0.01, 1000),
        "how many bytes may be promised for each that is free. Above 1, the host can run "
        "full under a disk that is not: whoever syncs gets an error then, whoever does not "
        "is told nothing, and the file system on the disk needs a repair",
    )


def _pem(key: str, value: Any) -> str:
    """Check for PEM, or the path of a file of it; no message tells what may be a key."""
    if (
        not isinstance(value, str)
        or not value.strip()
        # A text of several lines is no path, and nothing to show.
        or ("\n" in value.strip() and not value.lstrip().startswith(PEM))
    ):
        raise ConfigError(f"{key}: must be PEM, or the path of a file of it")
    return value.lstrip()


@dataclass(frozen=True, kw_only=True)
class TLSConfig(Section):
    """Mutual TLS."""

    certificate: str = required(_pem, "the daemon's: PEM, or the path of a file of it")
    private_key: str = required(_pem, "that belongs to it: PEM, or a path as well")
    ca: str = required(_pem, "signs the clients' certificates: PEM, or a path as well")
    allowed_clients: tuple[str, ...] = key(
        [],
        texts,
        "names of clients: each must be an alternative name (DNS, IP, e-mail, URI) or the "
        "common name of a client's certificate; without any, all that `ca` signed",
    )
    viewing_clients: tuple[str, ...] = key(
        ["viewer"],
        texts,
        "names of clients, by the same rule, that may only list what there is and read "
        "events. They need not be in `allowed_clients`, and who is in both may no more. "
        "`runc-cpictl certs` makes a certificate for `viewer`",
        shown="`['viewer']` without `allowed_clients`, none with them",
    )

    @classmethod
    def parse_section(cls, name: str, raw: Any) -> Self:
        """
        Check the section.

        Whoever names who is let in lets in nobody else unless that is said.

        @raise ConfigError: naming the key, the value and what is accepted.
        """
        if isinstance(raw, dict) and raw.get("allowed_clients"):
            raw = {"viewing_clients": [], **raw}
        return super().parse_section(name, raw)


def tls_section(key: str, raw: Any) -> TLSConfig | None:
    """Check C{tls}: keys, the path of a directory that has the files, or nothing."""
    if raw is None:
        return None
    if isinstance(raw, str):
        raw = _files_in(key, raw)
    return TLSConfig.parse_section(key, raw)


def _files_in(key: str, directory: str) -> dict[str, str]:
    if not directory.startswith("/") or not directory.isprintable():
        raise ConfigError(
            f"{key}: {quoted(directory)} must be keys and values, or the absolute path of "
            "a directory made by runc-cpictl certs"
        )
    return {key: f"{directory.rstrip('/')}/{name}" for key, name in TLS_FILES.items()}


@dataclass(frozen=True, kw_only=True)
class LimitsConfig(Section):
    """What a peer may ask of the daemon."""

    connections: int = key(
        512, whole_number(1, 100_000), "that have made a call, open at once"
    )
    strangers: int = key(
        512,
        whole_number(1, 100_000),
        "open besides that have made none yet, before TLS begins and after it each; for "
        "one more, one of the address that has the most must go",
    )
    calls: int = key(
        32, whole_number(1, 10_000), "under way on one connection; more are not read"
    )
    uploads: int = key(
        4, whole_number(1, 1000), "stemcells streamed over one connection at once"
    )
    followers: int = key(
        32,
        whole_number(1, 1000),
        "who wait for [events](operations.md#events) at once; of one address half of them",
    )
    message_bytes: int = key(
        32 * MEBIBYTE, whole_number(1, 1024 * MEBIBYTE), "size of one message"
    )
    first_seconds: float = key(
        15,
        number(1, 3600),
        "for the first message, TLS handshake included; as many before that begins",
    )
    idle_seconds: float = key(
        300,
        number(1, 86400),
        "between messages while no call is under way, and for answers to be read",
    )
    finish_seconds: float = key(
        20, number(1, 3600), "for calls under way when the daemon is to stop"
    )


@dataclass(frozen=True, kw_only=True)
class EventsConfig(Section):
    """How much is kept of what happened."""

    size: int = key(
        32,
        whole_number(1, 4096),
        "MiB of [events](operations.md#events) that are kept at most; an event takes some "
        "300 bytes. Of the older half, all are dropped at once",
    )


def _id_range(key: str, value: Any) -> tuple[int, int]:
    """Check C{FIRST-LAST}: whole ranges of ids, above those of the host's users."""
    wrong = ConfigError(
        f"{key}: {quoted(value)} must be FIRST-LAST, such as {IDS}: a multiple of {SIZE}, "
        f"and one less than a multiple, up to {HIGHEST_ID}"
    )
    found = (
        re.fullmatch(r"([0-9]{1,10})-([0-9]{1,10})", value) if type(value) is str else None
    )
    if found is None:
        raise wrong
    first, last = int(found[1]), int(found[2])
    if first % SIZE or (last + 1) % SIZE or not 0 < first < last <= HIGHEST_ID:
        raise wrong
    return first, last


@dataclass(frozen=True, kw_only=True)
class SecurityConfig(Section):
    """How much VMs are trusted with."""

    profile: str = key(
        "default",
        choice("default", "isolated", "privileged"),
        "of new VMs. `default` keeps from VMs what no stemcell needs; `isolated` gives "
        "each users of its own as well; `privileged` gives them all that the daemon has: "
        "see [security](security.md#vms)",
    )
    ids: tuple[int, int] = key(
        IDS,
        _id_range,
        f"`FIRST-LAST`: user and group ids of the host that `isolated` VMs get, {SIZE} "
        "each. Nothing else may use them: give each daemon of a host its own",
    )
    anti_spoofing: bool = key(
        True,
        boolean,
        "whether VMs may only send from [their own addresses](security.md#on-the-bridge)",
    )


def _root_disk_size(key: str, value: Any) -> int | None:
    if value is None or (value == 0 and not isinstance(value, bool)):
        return None
    try:
        size = whole_number(LEAST_ROOT_DISK_SIZE, MOST_ROOT_DISK_SIZE)(key, value)
    except ConfigError as error:
        raise ConfigError(f"{error}, or 0 for no bound") from None
    return int(size)


def _lxcfs(key: str, value: Any) -> Path | None:
    # Without quotes YAML takes "off" for a truth value.
    if value is False or value == "off":
        return None
    if value == "auto":
        return LXCFS
    if not isinstance(value, str) or not PLAIN_PATH.fullmatch(value):
        raise ConfigError(
            f"{key}: {quoted(value)} must be auto, off or the absolute path of a "
            "directory, of letters, digits and ._-/"
        )
    return Path(value)


@dataclass(frozen=True, kw_only=True)
class VMsConfig(Section):
    """What each VM gets unless its C{cloud_properties} say otherwise."""

    pids: int = key(
        32768,
        whole_number(LEAST_PIDS, MOST_PIDS),
        "processes and threads that a VM may have, whose `cloud_properties` do not say",
    )
    root_disk_size: int | None = key(
        20480,
        _root_disk_size,
        "MiB that a VM may change on `/`, its data included if it has no ephemeral disk, "
        "whose `cloud_properties` do not say; `0` for no bound: see "
        "[below](#what-root_disk_size-costs)",
    )
    lxcfs: Path | None = key(
        "auto",
        _lxcfs,
        "`auto`: VMs see memory, processors and load of their own where lxcfs is mounted "
        f"at `{LXCFS}`. Or another path, or `off`: see "
        "[memory of VMs](operations.md#memory-of-vms)",
    )
