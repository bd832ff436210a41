"""Which process has a port of this host (proc(5))."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

Address = IPv4Address | IPv6Address

PROC = Path("/proc")
TABLES = ("udp", "tcp", "udp6", "tcp6")
LISTENING = "0A"  # linux/tcp_states.h
UNCONNECTED = "07"  # of a UDP socket: TCP_CLOSE


def holder(address: Address, port: int) -> str | None:
    """
    Name the process that has a port, at an address or at all of them.

    This blocks: it looks through the descriptors of all processes.

    @return: such as C{dnsmasq (pid 123)}; L{None} if there is none, or it cannot be told.
    """
    sockets = {f"socket:[{inode}]" for inode in _inodes(address, port)}
    for process in PROC.glob("[0-9]*") if sockets else ():
        with suppress(OSError):
            for descriptor in (process / "fd").iterdir():
                if os.readlink(descriptor) in sockets:
                    name = (process / "comm").read_text("utf-8", "replace").strip()
                    return f"{name} (pid {process.name})"
    return None


def _inodes(address: Address, port: int) -> Iterator[str]:
    for table in TABLES:
        with suppress(OSError):
            _, *lines = (PROC / "net" / table).read_text("ascii").splitlines()
            for fields in map(str.split, lines):
                host, _, number = fields[1].partition(":")
                if int(number, 16) != port or fields[3] not in (LISTENING, UNCONNECTED):
                    continue
                if (found := _address(host)) == address or found.is_unspecified:
                    yield fields[9]


def _address(text: str) -> Address:
    """Read an address, which stands there in words of the machine's own order."""
    words = bytes.fromhex(text)
    if sys.byteorder == "little":
        words = b"".join(words[at : at + 4][::-1] for at in range(0, len(words), 4))
    return ip_address(words)
