"""Routes and rules of routing as the kernel has them afterwards."""

from __future__ import annotations

import errno
import json
import subprocess
from ipaddress import ip_address, ip_interface, ip_network
from typing import Any

import pytest

from runc_cpi.daemon.host.namespaces import CLONE_NEWNET, inside
from runc_cpi.daemon.host.network import rtnetlink
from runc_cpi.daemon.host.network.links import index_of
from runc_cpi.daemon.host.network.route_messages import add_rule, put_route, remove_route
from tests.harness.world import new_namespace


@pytest.mark.parametrize(
    ("own", "hops", "there"),
    [
        ("192.0.2.2/24", ("192.0.2.5", "192.0.2.6"), "198.51.100.0/28"),
        ("2001:db8::2/64", ("2001:db8::5", "2001:db8::6"), "2001:db8:1::/60"),
    ],
    ids=["IPv4", "IPv6"],
)
def test_routes_and_rules(own: str, hops: tuple[str, str], there: str) -> None:
    """A route is made, takes the place of another, and goes; rules are as asked for."""
    address, network = ip_interface(own), ip_network(there)
    kind = f"-{address.version}"

    def ip(*words: str) -> Any:
        """Return what ip(8) tells."""
        return json.loads(subprocess.check_output(["ip", kind, "-json", *words]))

    with new_namespace() as here, inside(here, CLONE_NEWNET):
        rtnetlink.make_pair(
            "way", "other", hardware="02:00:00:00:00:01", mtu=1400, pid=here
        )
        index = index_of("way")
        rtnetlink.turn_on(index_of("other"))
        rtnetlink.turn_on(index)
        rtnetlink.add_address(index, address)
        for hop in map(ip_address, hops):
            put_route(network, hop, index=index, protocol=120, metric=7)
            put_route(network, hop, index=index, table=20001)
            for options in ((), ("table", "20001")):
                (route,) = ip("route", "show", there, *options)
                assert (route["gateway"], route["dev"]) == (str(hop), "way")
        with pytest.raises(OSError) as raised:
            remove_route(network, protocol=119, metric=7)
        assert raised.value.errno == errno.ESRCH
        remove_route(network, protocol=120, metric=7)
        assert ip("route", "show", there) == []
        for _ in range(2):
            add_rule(32000, 254, destination=network)
        add_rule(32001, 20001, source=network, with_default=False)
        to, by = (r for r in ip("rule", "show") if r["priority"] in (32000, 32001))
        prefix = network.prefixlen
        assert (to["dst"], to["dstlen"], to["table"]) == (
            there.split("/")[0],
            prefix,
            "main",
        )
        assert (by["src"], by["srclen"], by["table"]) == (
            there.split("/")[0],
            prefix,
            "20001",
        )
        assert by["suppress_prefixlen"] == 0
