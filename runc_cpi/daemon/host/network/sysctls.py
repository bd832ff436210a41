"""Settings of the kernel that forwarding takes (the kernel's ip-sysctl.rst)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

IPV4 = Path("/proc/sys/net/ipv4")
IPV6_CONF = Path("/proc/sys/net/ipv6/conf")
# By the kind of IP: what turns forwarding on and off, and where each interface's own is.
FORWARDING = {4: IPV4 / "ip_forward", 6: IPV6_CONF / "all/forwarding"}
INTERFACES = {4: IPV4 / "conf", 6: IPV6_CONF}
# How the messages of routers are taken: while the host does not forward, or always.
NOT_WHILE_FORWARDING, ALWAYS = "1", "2"
NO_INTERFACES = ("all", "default", "lo")
# The kernel takes other names as well, which rules cannot have.
NAME = re.compile(r"[A-Za-z0-9_.-]+")


def is_forwarding(version: int) -> bool:
    """
    Say whether the host forwards packets.

    @param version: of a kind of IP, 4 or 6.
    @raise OSError: if the kernel does not tell.
    """
    # A kernel without IPv6 has no such file.
    with suppress(FileNotFoundError):
        return _read(FORWARDING[version]) == "1"
    return False


def forwards_anywhere(version: int) -> bool:
    """Say whether packets of any interface are forwarded."""
    return "1" in _settings(version)


def forwards_everywhere(version: int) -> bool:
    """Say whether packets of all interfaces are forwarded, as L{set_forwarding} has it."""
    return _settings(version) == {"1"}


def _settings(version: int) -> set[str]:
    found = set()
    for path in INTERFACES[version].glob("*/forwarding"):
        # Interfaces go meanwhile.
        with suppress(OSError):
            found.add(_read(path))
    return found


def set_forwarding(version: int, *, on: bool) -> None:
    """
    Have the host forward packets, or not.

    @param version: of a kind of IP, 4 or 6.
    @raise OSError: if the kernel refuses.
    """
    if is_forwarding(version) != on:
        FORWARDING[version].write_text(str(int(on)), "ascii")


def learners() -> Iterator[str]:
    """
    Name the interfaces by which the host learns routes and addresses of IPv6, until it
    forwards.
    """
    for path in IPV6_CONF.glob("*/accept_ra"):
        conf = path.parent
        with suppress(OSError):
            others = _read(conf / "disable_ipv6"), _read(conf / "forwarding")
            is_one = _read(path) == NOT_WHILE_FORWARDING and others == ("0", "0")
            is_named = NAME.fullmatch(conf.name) and conf.name not in NO_INTERFACES
            if is_one and is_named:
                yield conf.name


def keeps_learning(interfaces: Iterable[str]) -> bool:
    """
    Say whether the host learns routes by interfaces while it forwards.

    One that is gone does not count, nor does one where somebody set something else.
    """
    for name in interfaces:
        with suppress(OSError):
            if _read(IPV6_CONF / name / "accept_ra") == NOT_WHILE_FORWARDING:
                return False
    return True


def keep_learning(interfaces: Iterable[str], *, on: bool) -> None:
    """
    Have the host learn routes by interfaces while it forwards, or no longer.

    @raise OSError: if the kernel refuses.
    """
    before, after = NOT_WHILE_FORWARDING, ALWAYS
    if not on:
        before, after = after, before
    for name in interfaces:
        path = IPV6_CONF / name / "accept_ra"
        # It may be gone by now, and somebody may have set something else.
        with suppress(FileNotFoundError):
            if _read(path) == before:
                path.write_text(after, "ascii")


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
        if _read(path) != str(int(on)):
            path.write_text(str(int(on)), "ascii")


def _read(path: Path) -> str:
    return path.read_text("ascii").strip()
