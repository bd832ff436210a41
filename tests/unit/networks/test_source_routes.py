"""What interfaces need that a VM's default route is not by."""

from __future__ import annotations

from ipaddress import IPv4Interface, ip_address, ip_interface, ip_network

from runc_cpi.daemon.networks.model import Nic, Route
from runc_cpi.daemon.networks.source_routes import SourceRoutes, source_routes


def nic(number: int, *destinations: str, block: str = "") -> Nic:
    """Return the interface of that number, with default routes to these destinations."""
    gateway = f"10.{number}.0.1"
    return Nic(
        networks=(f"n{number}",),
        interface=f"eth{number}",
        mac="02:42:0a:00:00:02",
        addresses=(ip_interface(f"10.{number}.0.2/24"),),
        routes=tuple(route(destination, gateway) for destination in destinations),
        bridge=f"br{number}",
        gateways=(IPv4Interface(f"{gateway}/24"),),
        mtu=None,
        blocks=(ip_network(block),) if block else (),
    )


def route(destination: str, gateway: str) -> Route:
    """Return a route."""
    return Route(destination=ip_network(destination), gateway=ip_address(gateway))


def test_the_way_out_needs_none() -> None:
    """The default route of a VM is in the main table."""
    assert not list(source_routes([nic(0, "0.0.0.0/0", block="10.0.0.16/28")]))


def test_other_interfaces() -> None:
    """Each answers by itself, to whoever is not on its own link."""
    nics = [nic(0, "0.0.0.0/0"), nic(1, block="10.1.0.16/28"), nic(2, "10.9.0.0/24")]
    one, two = source_routes(nics)
    assert one == SourceRoutes(
        interface="eth1",
        table=20001,
        sources=(ip_network("10.1.0.2"), ip_network("10.1.0.16/28")),
        routes=tuple(
            route(destination, "10.1.0.1")
            for destination in ("0.0.0.0/0", "10.0.0.0/24", "10.2.0.0/24")
        ),
    )
    assert (two.interface, two.table) == ("eth2", 20002)
    assert two.sources == (ip_network("10.2.0.2"),)
