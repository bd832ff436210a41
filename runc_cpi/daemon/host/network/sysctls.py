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


def forwards_anywhere() -> bool:
    """Say whether packets of any interface are forwarded."""
    return "1" in _settings()


def forwards_everywhere() -> bool:
    """Say whether packets of all interfaces are forwarded, as L{set_forwarding} has it."""
    return _settings() == {"1"}


def _settings() -> set[str]:
    found = set()
    for path in IPV4.glob("conf/*/forwarding"):
        # Interfaces go meanwhile.
        with suppress(OSError):
            found.add(path.read_text("ascii").strip())
    return found


def set_forwarding(*, on: bool) -> None:
    """
    Have the host forward packets, or not.

    @raise OSError: if the kernel refuses.
    """
    if is_forwarding() != on:
        (IPV4 / "ip_forward").write_text(str(int(on)), "ascii")


def answer_for_others(interface: str) -> None:
    """
    Have an interface of this thread's network namespace answer ARP for what is behind it.

    That is what packets are forwarded to by another interface.  It does not wait for others
    to answer first: there are none.

    @raise OSError: if the kernel refuses.
    """
    (IPV4 / "conf" / interface / "proxy_arp").write_text("1", "ascii")
    (IPV4 / "neigh" / interface / "proxy_delay").write_text("0", "ascii")


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
