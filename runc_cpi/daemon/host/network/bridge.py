"""The VM network on the host: one bridge, and a pair of interfaces for each VM."""

from __future__ import annotations

import errno
import os
import re
import socket
from collections.abc import Callable, Sequence
from hashlib import sha256
from ipaddress import IPv4Address, IPv4Interface
from typing import Any, ParamSpec, TypeVar

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError
from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool
from zope.interface import implementer

from runc_cpi.daemon.host.namespaces import CLONE_NEWNET, inside
from runc_cpi.daemon.host.network import filters, ipv6
from runc_cpi.daemon.networks.interfaces import INetworker
from runc_cpi.errors import CloudError

GUEST_INTERFACE = "eth0"
ALIAS = "runc-cpid "
OWN_ALIAS = re.compile(ALIAS + r"(vm-[0-9a-f-]{36})")
DEFAULT_MTU = 1500
EVERYWHERE, PERMANENT = 0, 0x80  # RT_SCOPE_UNIVERSE, IFA_F_PERMANENT: linux/if_addr.h

P = ParamSpec("P")
T = TypeVar("T")


def host_interface(vm_cid: str) -> str:
    """Name the host's end of a VM's pair: at most 15 bytes, the same at each boot."""
    return "v" + sha256(vm_cid.encode()).hexdigest()[:12]


def hardware_address(address: IPv4Address) -> str:
    """
    Return the hardware address of the VM that has an address.

    It is the same for the next VM there: neighbours remember it for up to a minute, and
    would talk to the VM that is gone.
    """
    return "02:42:" + address.packed.hex(":")


class BridgeUnusable(Exception):
    """The bridge cannot be made or used as configured."""


class Bridge:
    """
    The bridge itself, and what is done to it; every method blocks.

    @param name: its interface name.
    @param gateway: the host's address in the VM network, with the network's size.
    @param guarded: whether VMs may only send from their own addresses.
    """

    def __init__(self, name: str, gateway: IPv4Interface, *, guarded: bool) -> None:
        self.name, self._gateway, self._guarded = name, gateway, guarded

    def ensure(self) -> None:
        """
        Make the bridge, unless it is there, and see to its address.

        IPv6 is turned off on it, unless somebody gave it an address of that kind.

        @raise BridgeUnusable: if the name belongs to something else, or the kernel
            refuses.
        """
        try:
            with IPRoute() as ip:
                index = self._ensure_link(ip)
                address = str(self._gateway.ip)
                if not any(
                    entry.get_attr("IFA_LOCAL") == address
                    for entry in ip.get_addr(index=index)
                ):
                    prefix = self._gateway.network.prefixlen
                    ip.addr("add", index=index, address=address, prefixlen=prefix)
                ipv6.ignore_routers(self.name)
                if not _has_ipv6(ip, index):
                    ipv6.turn_off(self.name)
                ip.link("set", index=index, state="up")
                if self._guarded:
                    self._try_guarding(ip)
        except (NetlinkError, OSError) as error:
            raise BridgeUnusable(f"{self.name}: {_why(error)}") from error

    def _ensure_link(self, ip: Any) -> int:
        found = ip.link_lookup(ifname=self.name)
        if not found:
            # Without an address of its own a bridge takes that of a port, and changes
            # it as ports come and go.
            digest = sha256(self.name.encode()).hexdigest()
            hardware = ":".join(["02", *(digest[i : i + 2] for i in range(0, 10, 2))])
            ip.link("add", ifname=self.name, kind="bridge", address=hardware)
            found = ip.link_lookup(ifname=self.name)
        (link,) = ip.get_links(found[0])
        info = link.get_attr("IFLA_LINKINFO")
        kind = info.get_attr("IFLA_INFO_KIND") if info else None
        if kind != "bridge":
            raise BridgeUnusable(f"{self.name}: there is such an interface, no bridge")
        return int(found[0])

    def _try_guarding(self, ip: Any) -> None:
        """Find out, with a pair that goes again, whether this kernel can do it."""
        address = self._gateway.ip
        name = host_interface(f"trial of {self.name}")
        _remove(ip, name)
        try:
            ip.link("add", ifname=name, kind="veth", peer={"ifname": f"{name}p"})
            (index,) = ip.link_lookup(ifname=name)
            filters.guard(ip, index, hardware_address(address), [address])
        except (NetlinkError, OSError) as error:
            raise BridgeUnusable(
                f"{self.name}: what VMs send cannot be filtered here: {_why(error)}; the "
                "kernel needs bpf, sch_ingress and cls_bpf, or let VMs send from any "
                "address with security.anti_spoofing: false"
            ) from error
        finally:
            _remove(ip, name)

    def connect(self, vm_cid: str, pid: int, addresses: Sequence[IPv4Address]) -> None:
        """
        Make a VM's pair, and set up its end in the network namespace of C{pid}.

        The host's end goes to the bridge when all else is done.
        """
        name = host_interface(vm_cid)
        with IPRoute() as ip:
            _remove(ip, name)
            (bridge,) = ip.link_lookup(ifname=self.name)
            mtu = _uplink_mtu(ip)
            ip.link(
                "add",
                ifname=name,
                kind="veth",
                mtu=mtu,
                peer={
                    "ifname": GUEST_INTERFACE,
                    "address": hardware_address(addresses[0]),
                    "mtu": mtu,
                    "net_ns_pid": pid,
                },
            )
            (index,) = ip.link_lookup(ifname=name)
            ip.link("set", index=index, ifalias=f"{ALIAS}{vm_cid}")
            ipv6.turn_off(name)
            if self._guarded:
                filters.guard(ip, index, hardware_address(addresses[0]), addresses)
            ip.link("set", index=index, master=bridge, state="up")
        with inside(pid, CLONE_NEWNET), IPRoute() as ip:
            (loopback,) = ip.link_lookup(ifname="lo")
            ip.link("set", index=loopback, state="up")
            (guest,) = ip.link_lookup(ifname=GUEST_INTERFACE)
            prefix = self._gateway.network.prefixlen
            for address in addresses:
                ip.addr("add", index=guest, address=str(address), prefixlen=prefix)
            ip.link("set", index=guest, state="up")
            ip.route("add", dst="default", gateway=str(self._gateway.ip))

    def guard(self, vm_cid: str, addresses: Sequence[IPv4Address]) -> bool:
        """Have a connected VM send from its own addresses alone; say whether it did not."""
        if not self._guarded:
            return False
        name = host_interface(vm_cid)
        with IPRoute() as ip:
            (index,) = ip.link_lookup(ifname=name)
            ipv6.turn_off(name)
            return filters.guard(ip, index, hardware_address(addresses[0]), addresses)

    def disconnect(self, vm_cid: str) -> None:
        """Remove a VM's pair; one that is gone is no error."""
        with IPRoute() as ip:
            _remove(ip, host_interface(vm_cid))

    def connected(self) -> set[str]:
        """Name the VMs that have a pair with one end at this bridge."""
        with IPRoute() as ip:
            (bridge,) = ip.link_lookup(ifname=self.name)
            links = ip.get_links()
        aliases = [
            OWN_ALIAS.fullmatch(str(link.get_attr("IFLA_IFALIAS") or ""))
            for link in links
            if link.get_attr("IFLA_MASTER") == bridge
        ]
        return {alias[1] for alias in aliases if alias is not None}


@implementer(INetworker)
class BridgeNetworker:
    """
    Works on the bridge from one thread of its own.

    Netlink calls block, up to 40 ms for a deletion; that is nothing for the reactor.
    One thread also serializes them, and is the only one to visit other namespaces.
    """

    def __init__(self, reactor: Any, bridge: Bridge) -> None:
        self._reactor, self._bridge = reactor, bridge
        self._thread = ThreadPool(1, 1, "netlink")

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread, once it has done what it was given."""
        self._thread.stop()

    async def connect(
        self, vm_cid: str, pid: int, addresses: Sequence[IPv4Address]
    ) -> None:
        """
        Give the network namespace of C{pid} an interface with these addresses.

        @raise CloudError: if the kernel refuses.
        """
        await self._do(self._bridge.connect, vm_cid, pid, addresses)

    async def guard(self, vm_cid: str, addresses: Sequence[IPv4Address]) -> bool:
        """
        Have a connected VM send from these addresses alone; say whether it did not.

        @raise CloudError: if the kernel refuses.
        """
        return await self._do(self._bridge.guard, vm_cid, addresses)

    async def disconnect(self, vm_cid: str) -> None:
        """
        Remove the VM's interface; one that is gone is no error.

        @raise CloudError: if the kernel refuses.
        """
        await self._do(self._bridge.disconnect, vm_cid)

    async def connected(self) -> set[str]:
        """
        Name the VMs that have an interface.

        @raise CloudError: if the kernel refuses to tell.
        """
        return await self._do(self._bridge.connected)

    async def _do(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            result: T = await deferToThreadPool(
                self._reactor, self._thread, work, *args, **kwargs
            )
        except (NetlinkError, OSError, ValueError) as error:
            raise CloudError(f"network: {work.__name__}: {_why(error)}") from error
        return result


def _remove(ip: Any, name: str) -> None:
    for index in ip.link_lookup(ifname=name):
        try:
            ip.link("del", index=index)
        except NetlinkError as error:
            if error.code != errno.ENODEV:
                raise


def _has_ipv6(ip: Any, index: int) -> bool:
    """Say whether somebody gave an interface an IPv6 address; a router's do not count."""
    return any(
        entry["scope"] == EVERYWHERE and entry.get_attr("IFA_FLAGS") & PERMANENT
        for entry in ip.get_addr(family=socket.AF_INET6, index=index)
    )


def _uplink_mtu(ip: Any) -> int:
    """Return the MTU of the host's default route, which what VMs send must fit."""
    for route in ip.get_default_routes():
        index = route.get_attr("RTA_OIF")
        if index is not None:
            (link,) = ip.get_links(index)
            return int(link.get_attr("IFLA_MTU"))
    return DEFAULT_MTU


def _why(error: Exception) -> str:
    if isinstance(error, NetlinkError):
        return os.strerror(error.code)
    return str(error)
