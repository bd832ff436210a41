"""Keeps IPv6 off the host's interfaces to its VMs: one of them could be its router."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

CONF = Path("/proc/sys/net/ipv6/conf")


def ignore_routers(interface: str) -> None:
    """
    Have the host learn neither routes nor addresses by an interface.

    @raise OSError: if the kernel refuses.
    """
    _set(interface, "accept_ra", 0)


def turn_off(interface: str) -> None:
    """
    Have an interface of the host carry no IPv6; what it has of it is lost.

    @raise OSError: if the kernel refuses.
    """
    _set(interface, "disable_ipv6", 1)


def _set(interface: str, name: str, value: int) -> None:
    # A kernel without IPv6 has no such file, and nothing to turn off.
    with suppress(FileNotFoundError):
        path = CONF / interface / name
        if path.read_text("ascii").strip() != str(value):
            path.write_text(str(value), "ascii")
