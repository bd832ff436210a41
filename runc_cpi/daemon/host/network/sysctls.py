"""Settings of the kernel that forwarding takes (the kernel's ip-sysctl.rst)."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

IPV4 = Path("/proc/sys/net/ipv4")


def is_forwarding() -> bool:
    """
    Say whether the host forwards packets.

    @raise OSError: if the kernel does not tell.
    """
    return (IPV4 / "ip_forward").read_text("ascii").strip() == "1"


def set_forwarding(*, on: bool) -> None:
    """
    Have the host forward packets, or not.

    @raise OSError: if the kernel refuses.
    """
    if is_forwarding() != on:
        (IPV4 / "ip_forward").write_text(str(int(on)), "ascii")


def route_loopback(bridge: str, *, on: bool) -> None:
    """
    Let packets with loopback addresses pass between the host and a bridge, or not.

    @param bridge: its interface name; nothing happens if there is none of that name.
    @raise OSError: if the kernel refuses.
    """
    path = IPV4 / "conf" / bridge / "route_localnet"
    with suppress(FileNotFoundError):
        if path.read_text("ascii").strip() != str(int(on)):
            path.write_text(str(int(on)), "ascii")
