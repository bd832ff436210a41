"""What the modules that configure network interfaces share."""

from __future__ import annotations

import errno
import os
import socket
from typing import Any

from pyroute2.netlink.exceptions import NetlinkError

from runc_cpi.daemon.host.network import rtnetlink


def find(name: str) -> int | None:
    """
    Return the index of an interface of this thread's network namespace, if it is there.

    C{IPRoute.link_lookup} takes ten times as long: it reads all about the interface.
    """
    try:
        return socket.if_nametoindex(name)
    except OSError:
        return None


def index_of(name: str) -> int:
    """
    Return the index of an interface of this thread's network namespace.

    @raise OSError: if it is not there.
    """
    return socket.if_nametoindex(name)


def remove(name: str) -> None:
    """
    Remove an interface; one that is gone is no error.

    @raise OSError: if the kernel refuses.
    """
    index = find(name)
    if index is not None:
        try:
            rtnetlink.remove_link(index)
        except OSError as error:
            if error.errno != errno.ENODEV:
                raise


def reason(error: Exception) -> str:
    """Return what the kernel says, without what netlink adds to it."""
    if isinstance(error, NetlinkError):
        return os.strerror(error.code)
    return str(error)


def name_of(ip: Any, index: int) -> str:
    """
    Return the name of an interface.

    @param ip: an C{IPRoute}.
    @raise NetlinkError: if it is gone.
    """
    (link,) = ip.get_links(index)
    return str(link.get_attr("IFLA_IFNAME"))


def alias_of(link: Any) -> str:
    """Return the alias of an interface, as netlink tells of it, or nothing."""
    return str(link.get_attr("IFLA_IFALIAS") or "")
