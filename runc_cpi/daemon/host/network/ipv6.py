"""IPv6 of interfaces: whether they have any, and that nobody beyond them is a router."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

CONF = Path("/proc/sys/net/ipv6/conf")


def settings() -> int | None:
    """
    Return a descriptor of the settings of this thread's network namespace, if it has any.

    Beside a thousand network namespaces the kernel takes 1 ms to find them by their path.

    @raise OSError: if the kernel refuses.
    """
    with suppress(FileNotFoundError):
        return os.open(CONF, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    return None


def ignore_routers(interface: str) -> None:
    """
    Have an interface bring its host or VM neither routes nor addresses.

    @raise OSError: if the kernel refuses.
    """
    _set(interface, "accept_ra", 0)


def turn_off(interface: str, within: int | None = None) -> None:
    """
    Have an interface of the host carry no IPv6; what it has of it is lost.

    @param within: the L{settings} of the host, if they are open.
    @raise OSError: if the kernel refuses.
    """
    _set(interface, "disable_ipv6", 1, within)


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


def _set(interface: str, name: str, value: int, within: int | None = None) -> None:
    def opened(path: str, flags: int) -> int:
        return os.open(path, flags, dir_fd=within)

    path = f"{interface}/{name}" if within is not None else str(CONF / interface / name)
    # A kernel without IPv6 has no such file, and nothing to turn off.
    with suppress(FileNotFoundError):
        with open(path, "rb", buffering=0, opener=opened) as file:
            if file.read().strip() == str(value).encode():
                return
        with open(path, "wb", buffering=0, opener=opened) as file:
            file.write(str(value).encode())
