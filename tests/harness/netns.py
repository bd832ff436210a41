"""A network namespace for the tests, so that the machine's own network is untouched."""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import struct

from pyroute2 import IPRoute

_CLONE_NEWNET = 0x40000000
_SIOCSIFFLAGS = 0x8914
_IFF_UP = 0x1


def enter() -> None:
    """Take this thread, and what it will start, into a new one with loopback up."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNET) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), "unshare")
    request = struct.pack("16sH14x", b"lo", _IFF_UP)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, _SIOCSIFFLAGS, request)


def bridges_of(daemon: str) -> set[str]:
    """
    Name the bridges that a daemon has made.

    @param daemon: the name of its cgroup.
    """
    with IPRoute() as ip:
        return {
            str(link.get_attr("IFLA_IFNAME"))
            for link in ip.get_links(kind="bridge")
            if link.get_attr("IFLA_IFALIAS") == f"runc-cpid bridge of {daemon}"
        }


def links() -> set[str]:
    """Name the interfaces of the namespace."""
    return {name for _, name in socket.if_nameindex()}
