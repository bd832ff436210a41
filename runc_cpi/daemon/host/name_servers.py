"""The host's name servers, as resolv.conf(5) names them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from ipaddress import IPv4Address, ip_address
from pathlib import Path

RESOLV_CONF = "/etc/resolv.conf"
RESOLV_CONFS = (RESOLV_CONF, "/run/systemd/resolve/resolv.conf")
MOST = 3  # MAXNS of resolv.conf(5); programs of the host use no more


class ResolvConf:
    """
    The name servers that programs of the host use.

    @param path: the file, which is read again when it was changed or replaced.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._seen: object = None
        self._servers: Sequence[str] = ()

    def servers(self) -> Sequence[str]:
        """Return their addresses, which may be on loopback; none if there is no file."""
        seen = None
        with suppress(OSError):
            found = os.stat(self._path)
            seen = found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size
        if seen != self._seen:
            self._servers = tuple(filter(_is_address, _listed(self._path)))[:MOST]
            self._seen = seen
        return self._servers


def name_servers(paths: Sequence[str] = RESOLV_CONFS) -> list[str]:
    """
    Return the host's name servers that a VM could reach.

    One on loopback serves the host alone; systemd-resolved lists what is behind it in
    a file of its own.
    """
    for path in paths:
        servers = [server for server in _listed(path) if _is_reachable(server)]
        if servers:
            return servers
    return []


def _listed(path: str) -> list[str]:
    """Return what a file names; nothing if it cannot be read."""
    try:
        lines = Path(path).read_text("utf-8", "replace").splitlines()
    except OSError:
        return []
    return [
        fields[1]
        for fields in map(str.split, lines)
        if len(fields) > 1 and fields[0] == "nameserver"
    ]


def _is_address(server: str) -> bool:
    try:
        ip_address(server)
    except ValueError:
        return False
    return True


def _is_reachable(server: str) -> bool:
    try:
        return not IPv4Address(server).is_loopback
    except ValueError:
        return False
