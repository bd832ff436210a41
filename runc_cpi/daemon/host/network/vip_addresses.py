"""Gives the host the addresses that VMs have by C{vip} networks."""

from __future__ import annotations

import errno
import socket
from collections.abc import Collection
from hashlib import sha256
from ipaddress import IPv4Address
from typing import Any

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from runc_cpi.daemon.networks.model import Address

# Linux answers at each of its addresses on all interfaces, also to ARP (ip-sysctl.rst,
# arp_ignore).  So it does not matter where one is, and this interface is always there.
INTERFACE = "lo"
# Labels of such addresses begin so: ifconfig takes what is before a colon for an interface.
MARK = f"{INTERFACE}:v"
WHOLE = 32  # bits


def label_of(daemon: str) -> str:
    """
    Name what marks addresses as those of one daemon.

    @param daemon: tells this daemon from others of this host.
    """
    return MARK + sha256(daemon.encode()).hexdigest()[:8]


class VipAddresses:
    """
    The vips of one daemon that the host has by it; the method blocks.

    An address that the host has by somebody else is used as it is, and stays.

    @param daemon: tells this daemon from others of this host.
    """

    def __init__(self, daemon: str) -> None:
        self._label = label_of(daemon)

    def have(self, wanted: Collection[Address]) -> bool:
        """
        Let the host have these addresses, and no other ones by this daemon.

        @return: whether that is a change.
        @raise NetlinkError: if the kernel refuses.
        """
        with IPRoute() as ip:
            present, own = self._look(ip)
            spare = own - set(wanted)
            missing = set(wanted) - present
            for address in sorted(spare, key=int):
                self._do(ip, "del", address)
            for address in sorted(missing, key=int):
                self._do(ip, "add", address)
        return bool(spare or missing)

    def _look(self, ip: Any) -> tuple[set[Address], set[Address]]:
        """Return all addresses of the host, and those that it has by this daemon."""
        present: set[Address] = set()
        own: set[Address] = set()
        for entry in ip.get_addr(family=socket.AF_INET):
            address = IPv4Address(entry.get_attr("IFA_LOCAL"))
            present.add(address)
            if entry.get_attr("IFA_LABEL") == self._label:
                own.add(address)
        return present, own

    def _do(self, ip: Any, change: str, address: Address) -> None:
        try:
            (index,) = ip.link_lookup(ifname=INTERFACE)
            ip.addr(
                change,
                index=index,
                address=str(address),
                prefixlen=WHOLE,
                label=self._label,
            )
        except NetlinkError as error:
            # Somebody else was faster.
            if error.code not in (errno.EEXIST, errno.EADDRNOTAVAIL):
                raise
