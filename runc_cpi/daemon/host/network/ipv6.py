"""IPv6 of interfaces: whether they have any, and that nobody beyond them is a router."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

CONF = Path("/proc/sys/net/ipv6/conf")


def ignore_routers(interface: str) -> None:
    """
    Have an interface bring its host or VM neither routes nor addresses.

    @raise OSError: if the kernel refuses.
    """
    _set(interface, "accept_ra", 0)


def turn_off(interface: str) -> None:
    """
    Have an interface of the host carry no IPv6; what it has of it is lost.

    @raise OSError: if the kernel refuses.
    """
    _set(interface, "disable_ipv6", 1)


def turn_on(interface: str) -> None:
    """
    Have an interface carry IPv6.

    @raise OSError: if the kernel refuses, or has no IPv6.
    """
    if not CONF.is_dir():
        raise OSError("the kernel has no IPv6")
    _set(interface, "disable_ipv6", 0)


def settle_addresses(interface: str) -> None:
    """
    Have an interface's address on the link follow from its hardware address, and have it
    look for none of its addresses elsewhere: the daemon knows who has which.

    @raise OSError: if the kernel refuses.
    """
    _set(interface, "addr_gen_mode", 0)
    _set(interface, "accept_dad", 0)


def _set(interface: str, name: str, value: int) -> None:
    # A kernel without IPv6 has no such file, and nothing to turn off.
    with suppress(FileNotFoundError):
        path = CONF / interface / name
        if path.read_text("ascii").strip() != str(value):
            path.write_text(str(value), "ascii")
