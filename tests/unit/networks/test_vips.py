"""Which addresses of the host VMs can have, and who has which."""

from __future__ import annotations

from ipaddress import IPv4Address, ip_address

import pytest

from runc_cpi.daemon.base.address_range import AddressRange
from runc_cpi.daemon.networks.address_pools import AddressPools
from runc_cpi.daemon.networks.model import Subnet
from runc_cpi.daemon.networks.vips import VipPolicy, Vips
from runc_cpi.errors import AddressUnavailable
from tests.unit.networks.examples import OTHER, SUBNET


def addresses(first: str, last: str) -> AddressRange:
    """Return a range."""
    return AddressRange(first=IPv4Address(first), last=IPv4Address(last))


WITH_RESERVED = Subnet(
    cidr=SUBNET.cidr,
    gateway=SUBNET.gateway,
    bridge=SUBNET.bridge,
    reserved=(addresses("10.0.0.0", "10.0.0.9"),),
)
POLICY = VipPolicy(
    allowed=[addresses("203.0.113.1", "203.0.113.9")], taken=IPv4Address("203.0.113.9")
)


@pytest.fixture
def vips() -> Vips:
    """Vips beyond networks and in one of them, of which nobody has one."""
    return Vips(AddressPools([WITH_RESERVED, OTHER]), POLICY)


@pytest.mark.parametrize("address", ["203.0.113.1", "203.0.113.8", "10.0.0.9"])
def test_one_vm_has_an_address(vips: Vips, address: str) -> None:
    """An address is one VM's until it lets go; it may ask again."""
    vip = ip_address(address)
    for _ in range(2):
        vips.hold(vip, "vm-1")
    assert vips.holder(vip) == "vm-1"
    with pytest.raises(AddressUnavailable, match=f"^vip {vip} is in use by vm-1$"):
        vips.hold(vip, "vm-2")
    vips.let_go("vm-2")
    assert vips.holder(vip) == "vm-1"
    vips.let_go("vm-1")
    assert vips.holder(vip) is None
    vips.hold(vip, "vm-2")


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("203.0.113.10", "is none of vip_addresses of the daemon, which is 203.0.113.1-20"),
        ("2001:db8::1", "is none of vip_addresses"),
        ("203.0.113.9", "the daemon takes its calls there"),
        ("10.0.0.1", "is the gateway address of 10.0.0.0/16"),
        ("10.0.0.0", "is the network or broadcast address"),
        ("10.0.0.10", "is in 10.0.0.0/16, a network of VMs; only what is in reserved"),
        ("10.9.0.2", "is in 10.9.0.0/24, a network of VMs"),
    ],
)
def test_other_addresses(vips: Vips, address: str, reason: str) -> None:
    """An address that no VM can have is refused by name."""
    with pytest.raises(AddressUnavailable) as caught:
        vips.hold(ip_address(address), "vm-1")
    assert str(caught.value).startswith(f"vip {address}")
    assert reason in str(caught.value)
    assert vips.holder(ip_address(address)) is None


def test_without_a_configuration() -> None:
    """By default no address beyond the networks can be had."""
    vips = Vips(AddressPools([SUBNET]), VipPolicy())
    with pytest.raises(AddressUnavailable, match="vip_addresses .* which is empty"):
        vips.hold(IPv4Address("203.0.113.1"), "vm-1")
