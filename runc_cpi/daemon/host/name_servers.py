"""The host's name servers, for VMs whose networks name none (resolv.conf(5))."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address
from pathlib import Path

RESOLV_CONFS = ("/etc/resolv.conf", "/run/systemd/resolve/resolv.conf")


def name_servers(paths: Sequence[str] = RESOLV_CONFS) -> list[str]:
    """
    Return the host's name servers that a VM could reach.

    One on loopback serves the host alone; systemd-resolved lists what is behind it in
    a file of its own.
    """
    for path in paths:
        try:
            lines = Path(path).read_text("utf-8", "replace").splitlines()
        except OSError:
            continue
        servers = [
            fields[1]
            for fields in map(str.split, lines)
            if len(fields) > 1 and fields[0] == "nameserver" and _reachable(fields[1])
        ]
        if servers:
            return servers
    return []


def _reachable(server: str) -> bool:
    try:
        return not IPv4Address(server).is_loopback
    except ValueError:
        return False
