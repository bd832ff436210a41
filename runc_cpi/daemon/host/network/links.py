"""What the modules that configure network interfaces share."""

from __future__ import annotations

import errno
import os
from typing import Any

from pyroute2.netlink.exceptions import NetlinkError


def remove(ip: Any, name: str) -> None:
    """
    Remove an interface; one that is gone is no error.

    @param ip: an C{IPRoute}.
    @raise NetlinkError: if the kernel refuses.
    """
    for index in ip.link_lookup(ifname=name):
        try:
            ip.link("del", index=index)
        except NetlinkError as error:
            if error.code != errno.ENODEV:
                raise


def reflect(ip: Any, name: str) -> None:
    """
    Let the bridge that an interface is on send frames back to where they came from.

    @param ip: an C{IPRoute}.
    @raise NetlinkError: if the kernel refuses.
    """
    for index in ip.link_lookup(ifname=name):
        ip.brport("set", index=index, mode=1)


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
