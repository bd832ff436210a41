"""Which flows are forgotten when an address of the host moves from VM to VM."""

from __future__ import annotations

import socket
from ipaddress import IPv4Address

import pytest

from runc_cpi.daemon.host.network import conntrack, vip_flows
from runc_cpi.daemon.host.network.conntrack import ORIGINAL, Flow
from runc_cpi.daemon.host.network.vip_flows import Places

VIP, FIRST, SECOND, WORLD = map(
    IPv4Address, ("203.0.113.1", "10.0.0.2", "10.0.0.3", "198.51.100.1")
)
UDP, TCP, GRE = socket.IPPROTO_UDP, socket.IPPROTO_TCP, socket.IPPROTO_GRE


def arriving(led: IPv4Address, protocol: int = UDP) -> Flow:
    """Return a flow to the vip."""
    port = 0 if protocol == GRE else 80
    return Flow(
        protocol=protocol,
        sender=(WORLD, port),
        asked=(VIP, port),
        led=(led, port),
        seen=(WORLD, port),
        name=f"{led} {protocol}".encode(),
    )


def leaving(sender: IPv4Address) -> Flow:
    """Return a flow that left by the vip."""
    return Flow(
        protocol=UDP,
        sender=(sender, 53),
        asked=(WORLD, 53),
        led=(WORLD, 53),
        seen=(VIP, 53),
        name=f"from {sender}".encode(),
    )


IN = [arriving(led, protocol) for led in (VIP, FIRST, SECOND) for protocol in (UDP, TCP)]
FLOWS = [*IN, arriving(FIRST, GRE)], [leaving(FIRST), leaving(SECOND), leaving(VIP)]
OF_FIRST = {"10.0.0.2 17", "10.0.0.2 6", "10.0.0.2 47", "from 10.0.0.2"}


@pytest.fixture
def forgotten(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The names of flows that were forgotten, of some that the kernel is said to have."""
    names: set[str] = set()
    monkeypatch.setattr(
        conntrack, "flows_to", lambda _, packets: iter(FLOWS[packets != ORIGINAL])
    )
    monkeypatch.setattr(conntrack, "forget", lambda flow: names.add(flow.name.decode()))
    return names


@pytest.mark.parametrize(
    ("before", "after", "stale"),
    [
        # Who reaches the host itself by TCP goes on to.
        ({}, {VIP: FIRST}, {"203.0.113.1 17", "10.0.0.3 17", "10.0.0.3 6"}),
        ({VIP: FIRST}, {}, OF_FIRST),
        ({VIP: FIRST}, {VIP: SECOND}, {*OF_FIRST, "203.0.113.1 17"}),
        ({VIP: FIRST}, {VIP: FIRST}, set()),
        ({}, {}, set()),
    ],
)
def test_moves(
    forgotten: set[str],
    before: Places,
    after: Places,
    stale: set[str],
) -> None:
    """Flows are forgotten that lead elsewhere than the address does now."""
    vip_flows.correct(before, after, afresh=False)
    assert forgotten == stale


def test_what_an_earlier_daemon_left(forgotten: set[str]) -> None:
    """After a start all flows are looked at, those of addresses that did not move too."""
    vip_flows.correct({VIP: FIRST}, {VIP: FIRST}, afresh=True)
    assert forgotten == {"203.0.113.1 17", "10.0.0.3 17", "10.0.0.3 6"}
