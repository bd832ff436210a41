"""Finds out whether what VMs send can be filtered on this host."""

from __future__ import annotations

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from runc_cpi.daemon.host.network import filters
from runc_cpi.daemon.host.network.links import reason, remove
from runc_cpi.daemon.host.network.veth import host_interface
from runc_cpi.daemon.networks.firewall import AllowedSources

NOBODY = AllowedSources(mac="02:42:00:00:00:00", addresses=())


class NoFilters(Exception):
    """The kernel cannot filter what VMs send."""


def try_guarding(daemon: str) -> None:
    """
    Filter what a pair sends that goes again.

    @param daemon: tells this daemon from others of this host.
    @raise NoFilters: saying what the kernel needs.
    """
    name = host_interface(f"trial of {daemon}")
    with IPRoute() as ip:
        remove(name)
        try:
            ip.link("add", ifname=name, kind="veth", peer={"ifname": f"{name}p"})
            (index,) = ip.link_lookup(ifname=name)
            filters.guard(index, NOBODY)
        except (NetlinkError, OSError) as error:
            raise NoFilters(
                f"what VMs send cannot be filtered here: {reason(error)}; the kernel needs "
                "bpf, sch_ingress and cls_bpf, or let VMs send from any address with "
                "security.anti_spoofing: false"
            ) from error
        finally:
            remove(name)
