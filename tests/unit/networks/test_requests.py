"""The networks of a create_vm call are checked; other cases are in tests/contract."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest

from runc_cpi.daemon.networks import requests
from runc_cpi.daemon.networks.model import Network
from runc_cpi.errors import InvalidArgument
from tests.unit.networks.examples import DYNAMIC, MANUAL, VIP


def test_networks_are_read_in_their_order() -> None:
    """A manual network asks for an address, and a vip network for one of the host's."""
    assert requests.parse({"v": VIP, "d": DYNAMIC, "m": MANUAL}) == [
        Network(
            name="v",
            kind="vip",
            address=IPv4Address("203.0.113.1"),
            settings=VIP,
        ),
        Network(name="d", kind="dynamic", address=None, settings=DYNAMIC),
        Network(name="m", kind="manual", address=IPv4Address("10.0.0.2"), settings=MANUAL),
    ]


@pytest.mark.parametrize(
    "dns", [["not an address"], ["192.0.2.1\nsearch evil.example"], [""], ["\ud800"]]
)
def test_name_servers_are_addresses(dns: list[str]) -> None:
    """A name server must be an address: each becomes a line of the VM's resolv.conf."""
    with pytest.raises(InvalidArgument, match=r"^networks\.n\.dns: .*address"):
        requests.parse({"n": {**MANUAL, "dns": dns}})


def test_an_address_can_be_had_once() -> None:
    """Two networks of one VM that ask for the same address are refused."""
    with pytest.raises(InvalidArgument, match=r"networks\.b.*10\.0\.0\.2"):
        requests.parse({"a": MANUAL, "b": MANUAL})
