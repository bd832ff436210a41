"""Routes, and rules that tell which table of them is looked at (ip-rule(8))."""

from __future__ import annotations

import errno
import socket
import struct

from runc_cpi.daemon.host.network import netlink, rtnetlink
from runc_cpi.daemon.host.network.netlink import attribute
from runc_cpi.daemon.networks.model import Address, IPNetwork

MAIN_TABLE, STATIC = 254, 4  # RT_TABLE_MAIN, RTPROT_STATIC, linux/rtnetlink.h
_NEW_ROUTE, _DEL_ROUTE, _NEW_RULE = 24, 25, 32  # RTM_*
_ROUTE = struct.Struct("=8BI")  # rtmsg: family, two prefixes, TOS, table, ...; flags
_EVERYWHERE, _ANY_SCOPE, _UNICAST, _ANY_TYPE = 0, 255, 1, 0  # RT_SCOPE_*, RTN_*
# The next hop is there, also if no address of the interface says so.
_ON_LINK = 4  # RTNH_F_ONLINK
_DESTINATION, _WAY_OUT, _GATEWAY, _METRIC, _SOURCE, _TABLE = 1, 4, 5, 6, 7, 15  # RTA_*
# linux/fib_rules.h
_RULE = struct.Struct("=8BI")  # fib_rule_hdr: family, two prefixes, TOS, ..., action; flags
_LOOK_UP = 1  # FR_ACT_TO_TBL
_TO, _FROM, _PRIORITY, _SHORTER_THAN, _LOOKED_UP = 1, 2, 6, 14, 15  # FRA_*


def put_route(
    destination: IPNetwork,
    gateway: Address,
    *,
    index: int | None,
    source: Address | None = None,
    table: int = MAIN_TABLE,
    protocol: int = STATIC,
    metric: int = 0,
) -> None:
    """
    Have a route, instead of another one of the same metric.

    @param gateway: the next hop.
    @param index: that of the interface it is on, or L{None} where the kernel knows that.
    @param source: the address that this host itself has for it, or L{None} for any.
    @param protocol: who makes it.
    @raise OSError: if the kernel refuses.
    """
    flags = 0 if index is None else _ON_LINK
    kind = (protocol, _EVERYWHERE, _UNICAST, flags)
    body = _route(destination, kind, table) + attribute(_GATEWAY, gateway.packed)
    if metric:
        body += attribute(_METRIC, _number(metric))
    if index is not None:
        body += attribute(_WAY_OUT, _number(index))
    if source is not None:
        body += attribute(_SOURCE, source.packed)
    rtnetlink.change(_NEW_ROUTE, body, netlink.CREATE | netlink.REPLACE)


def remove_route(destination: IPNetwork, *, protocol: int, metric: int) -> None:
    """
    Remove a route of the main table.

    @raise OSError: if the kernel refuses; C{ESRCH} if it is gone.
    """
    body = _route(destination, (protocol, _ANY_SCOPE, _ANY_TYPE, 0), MAIN_TABLE)
    rtnetlink.change(_DEL_ROUTE, body + attribute(_METRIC, _number(metric)))


def add_rule(
    priority: int,
    table: int,
    *,
    source: IPNetwork | None = None,
    destination: IPNetwork | None = None,
    with_default: bool = True,
) -> None:
    """
    Have packets from a network, or to one, take the routes of a table.

    It is no error if there is such a rule: rules stay when an interface goes.

    @param priority: which of several rules is asked first: that with the lowest one.
    @param source: from where they come; this or C{destination} is needed.
    @param destination: where they go.
    @param with_default: whether the table's default route counts.
    @raise OSError: if the kernel refuses.
    """
    network = source or destination
    assert network is not None
    lengths = [each.prefixlen if each else 0 for each in (destination, source)]
    body = _RULE.pack(_family(network), *lengths, 0, 0, 0, 0, _LOOK_UP, 0)
    for kind, end in ((_TO, destination), (_FROM, source)):
        if end is not None:
            body += attribute(kind, end.network_address.packed)
    body += attribute(_PRIORITY, _number(priority)) + attribute(_LOOKED_UP, _number(table))
    if not with_default:
        body += attribute(_SHORTER_THAN, _number(0))
    try:
        rtnetlink.change(_NEW_RULE, body, netlink.CREATE | netlink.EXCLUSIVE)
    except OSError as error:
        if error.errno != errno.EEXIST:
            raise


def _route(destination: IPNetwork, kind: tuple[int, int, int, int], table: int) -> bytes:
    """
    Return the beginning of a message about a route.

    @param kind: its protocol, scope, type and flags.
    """
    body = _ROUTE.pack(_family(destination), destination.prefixlen, 0, 0, 0, *kind)
    if destination.prefixlen:
        body += attribute(_DESTINATION, destination.network_address.packed)
    return body + attribute(_TABLE, _number(table))


def _family(network: IPNetwork) -> int:
    return socket.AF_INET if network.version == 4 else socket.AF_INET6


def _number(number: int) -> bytes:
    return struct.pack("=I", number)
