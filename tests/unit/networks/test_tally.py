"""Rules that are added up as VMs and subnets come and go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runc_cpi.daemon.networks import tally
from runc_cpi.daemon.networks.model import Subnet
from runc_cpi.daemon.networks.peers import Peer, Peering
from runc_cpi.daemon.networks.ports import parse
from runc_cpi.daemon.networks.rules import NO_RULES, Occupant, rules
from runc_cpi.daemon.networks.tally import Tally

PLAIN = [
    Subnet(
        cidr=IPv4Network(f"10.{number}.0.0/29"),
        gateway=IPv4Address(f"10.{number}.0.1"),
        bridge=f"br{number}",
        dns=(),
    )
    for number in (1, 2)
]
SUBNETS = [*PLAIN, *(replace(each, isolated=True, nat=False) for each in PLAIN)]
PLACES = [each.cidr[last] for each in PLAIN for last in (2, 3)]
VIPS = [IPv4Address("192.0.2.1"), PLAIN[0].cidr[6]]
PEERS = Peering(
    peers=(
        Peer(address=IPv4Address("192.0.2.9"), cidrs=(IPv4Network("10.2.0.0/16"),)),
        Peer(address=IPv4Address("192.0.2.8"), cidrs=(IPv4Network("10.3.0.0/16"),)),
    )
)
PORTS = [parse([text]) for text in ("80:80", "127.0.0.1:53:53/udp", "192.0.2.1:1-9:11-19")]

occupants = st.builds(
    Occupant,
    addresses=st.lists(st.sampled_from(PLACES), unique=True, max_size=3).map(tuple),
    ports=st.sampled_from([(), *PORTS]),
    vips=st.lists(st.sampled_from(VIPS), unique=True).map(tuple),
)
subnets = st.lists(
    st.sampled_from(SUBNETS), unique_by=lambda subnet: subnet.cidr, max_size=2
).map(tuple)
changes = st.tuples(
    st.sampled_from(["vm-1", "vm-2", "vm-3"]), st.none() | occupants, subnets, st.booleans()
)


@given(st.lists(changes, max_size=12))
def test_the_same_as_for_all_at_once(steps: Sequence[Any]) -> None:
    """Whatever came and went, the rules are those of the VMs that are there."""
    kept, there = Tally(), dict[str, Occupant]()
    for vm_cid, occupant, now, is_asked in steps:
        if occupant is None:
            kept.remove(vm_cid)
            there.pop(vm_cid, None)
        else:
            kept.put(vm_cid, occupant)
            there[vm_cid] = occupant
            assert kept.get(vm_cid) == occupant
        if is_asked:
            assert kept.ruleset(now, PEERS) == rules(now, list(there.values()), PEERS)
    for vm_cid in there:
        kept.remove(vm_cid)
    assert kept.ruleset(PLAIN, PEERS) == NO_RULES


def test_only_what_changed_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """VMs that stay, in subnets that stay, are not looked at."""
    looked: list[Occupant] = []

    def noted(*arguments: Any) -> Any:
        looked.extend(arguments[1])
        return rules(*arguments)

    monkeypatch.setattr(tally, "rules", noted)
    vms, kept = [Occupant(addresses=(place,)) for place in PLACES], Tally()
    for number, vm in enumerate(vms[:-1]):
        kept.put(f"vm-{number}", vm)
    kept.ruleset(PLAIN, PEERS)
    looked.clear()
    kept.put("vm-9", vms[-1])
    for _ in range(2):
        kept.ruleset(list(PLAIN), PEERS)
    assert looked == vms[-1:]
    looked.clear()
    kept.ruleset([PLAIN[0], SUBNETS[3]], PEERS)
    assert set(looked) == {vms[2], vms[3]}
