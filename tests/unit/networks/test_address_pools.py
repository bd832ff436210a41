"""The address pools hand out the highest free address, none twice, and lose none."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network, IPv6Address

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from runc_cpi.daemon.base.address_range import AddressRange
from runc_cpi.daemon.networks.address_pools import AddressPools
from runc_cpi.daemon.networks.interfaces import IAddressPools
from runc_cpi.daemon.networks.model import Address, Subnet
from runc_cpi.errors import AddressUnavailable

NETWORK = IPv4Network("10.0.0.0/29")
GATEWAY = IPv4Address("10.0.0.1")


def subnet_with(network: IPv4Network, gateway: IPv4Address) -> Subnet:
    """Return a subnet of these addresses."""
    return Subnet(cidr=network, gateway=gateway, bridge="br0")


SUBNET = subnet_with(NETWORK, GATEWAY)


def host(number: int) -> IPv4Address:
    """Return the address of that number in the network."""
    return NETWORK.network_address + number


class AddressPoolsTests(SynchronousTestCase):
    """The pools have one subnet of six hosts, one of which is the gateway."""

    def setUp(self) -> None:
        self.begin(SUBNET)

    def begin(self, *subnets: Subnet) -> None:
        """Make pools of these subnets."""
        self.pools = AddressPools(subnets)

    def acquire(self, owner: str, subnet: Subnet | None = None) -> Address:
        """Acquire an address, of the first subnet as a rule."""
        acquired = self.pools.acquire(subnet or self.pools.subnets[0], owner)
        return self.successResultOf(acquired)

    def claim(self, address: Address, owner: str) -> None:
        """Claim an address."""
        self.successResultOf(self.pools.claim(address, owner))

    def release(self, owner: str) -> None:
        """Release what an owner has."""
        self.successResultOf(self.pools.release(owner))

    def shortage(self, owner: str) -> str:
        """Return why no address can be acquired."""
        acquired = self.pools.acquire(self.pools.subnets[0], owner)
        return str(self.failureResultOf(acquired, AddressUnavailable).value)

    def refusal(self, address: Address, owner: str = "vm-x") -> str:
        """Return why an address cannot be claimed."""
        claimed = self.pools.claim(address, owner)
        return str(self.failureResultOf(claimed, AddressUnavailable).value)

    def test_interface(self) -> None:
        """The pools have the interface that VMs ask for."""
        verifyObject(IAddressPools, self.pools)

    def test_highest_free_comes_first(self) -> None:
        """The highest free address is handed out, and the gateway's never."""
        given = [self.acquire(str(i)) for i in range(5)]
        self.assertEqual(given, [host(6), host(5), host(4), host(3), host(2)])

    def test_gateway_in_the_middle_is_passed_over(self) -> None:
        """The gateway may be any address of the subnet."""
        self.begin(subnet_with(NETWORK, host(3)))
        given = [self.acquire(str(i)) for i in range(5)]
        self.assertEqual(given, [host(6), host(5), host(4), host(2), host(1)])

    def test_addresses_that_the_configuration_keeps_back(self) -> None:
        """No VM gets a reserved address; dynamic ones come from the range for them."""
        reserved = AddressRange(first=host(4), last=host(5))
        dynamic = AddressRange(first=host(3), last=host(5))
        subnet = replace(SUBNET, reserved=(reserved,), dynamic=dynamic)
        self.begin(subnet)
        self.assertEqual(self.acquire("a"), host(3))
        self.assertEqual(
            self.shortage("b"), "no address is left in 10.0.0.3-10.0.0.5 of 10.0.0.0/29"
        )
        self.assertIn("10.0.0.4 is reserved in 10.0.0.0/29", self.refusal(host(4)))
        self.claim(host(6), "c")

    def test_many_reserved_addresses(self) -> None:
        """Reserved addresses are not gone through one by one, however many they are."""
        network = IPv4Network("10.0.0.0/8")
        reserved = AddressRange(first=network[99], last=network[-1])
        subnet = subnet_with(network, network[1])
        self.begin(replace(subnet, reserved=(reserved,)))
        self.assertEqual(self.acquire("a"), network[98])

    def test_an_address_that_is_reserved_since(self) -> None:
        """A VM keeps an address that it had before the configuration reserved it."""
        reserved = AddressRange(first=host(2), last=host(5))
        self.begin(replace(SUBNET, reserved=(reserved,)))
        self.successResultOf(self.pools.claim(host(4), "a", recorded=True))
        self.assertEqual(self.pools.owner(host(4)), "a")
        taken = self.pools.claim(host(4), "b", recorded=True)
        self.assertIn("in use by a", str(self.failureResultOf(taken).value))

    def test_addresses_that_may_not_be_given(self) -> None:
        """An address that is passed over once can be given the next time."""
        acquired = self.pools.acquire(SUBNET, "a", {host(6), host(5)})
        self.assertEqual(self.successResultOf(acquired), host(4))
        self.assertEqual([self.acquire("b"), self.acquire("c")], [host(6), host(5)])

    def test_freed_address_is_the_highest_again(self) -> None:
        """An address that was taken back is handed out before those never used."""
        for owner in "abc":
            self.acquire(owner)
        self.release("b")
        self.assertEqual([self.acquire("d"), self.acquire("e")], [host(5), host(3)])

    def test_exhaustion_names_the_network(self) -> None:
        """An exhausted subnet refuses each time, until an address comes back."""
        for number in range(5):
            self.acquire(str(number))
        for _ in range(2):
            self.assertEqual(self.shortage("late"), "no address is left in 10.0.0.0/29")
        self.release("3")
        self.assertEqual(self.acquire("late"), host(3))

    def test_the_first_network_of_all_can_be_exhausted(self) -> None:
        """The subnet with the lowest address there is can be exhausted like others."""
        network = IPv4Network("0.0.0.0/30")
        self.begin(subnet_with(network, IPv4Address("0.0.0.1")))
        self.assertEqual(self.acquire("a"), IPv4Address("0.0.0.2"))
        self.shortage("b")

    def test_claimed_address_is_not_acquired(self) -> None:
        """A claimed address is not handed out to another VM."""
        self.claim(host(6), "a")
        self.assertEqual(self.pools.owner(host(6)), "a")
        self.assertEqual(self.acquire("b"), host(5))

    def test_claiming_again_is_fine(self) -> None:
        """A VM may claim an address that it has."""
        self.claim(host(4), "a")
        self.claim(host(4), "a")
        self.assertEqual(self.pools.owner(host(4)), "a")

    def test_conflict_names_the_owner(self) -> None:
        """The refusal of an address in use names the VM that has it."""
        self.claim(host(4), "vm-of-another")
        self.assertEqual(
            self.refusal(host(4)), "address 10.0.0.4 is in use by vm-of-another"
        )

    def test_addresses_that_are_nobodys(self) -> None:
        """The refusal of an address that no VM can have names it and the reason."""
        for address, reason in [
            ("10.0.0.8", "outside of 10.0.0.0/29"),
            ("9.255.255.255", "outside of 10.0.0.0/29"),
            ("10.0.0.0", "the network address of 10.0.0.0/29"),
            ("10.0.0.1", "the gateway"),
            ("10.0.0.7", "the broadcast address of 10.0.0.0/29"),
        ]:
            refusal = self.refusal(IPv4Address(address))
            self.assertIn(f"address {address} is {reason}", refusal)

    def test_refused_claim_takes_nothing(self) -> None:
        """A claim that is refused changes nothing."""
        self.claim(host(2), "a")
        self.refusal(host(2), "b")
        self.release("b")
        self.assertIn("in use by a", self.refusal(host(2), "c"))

    def test_release_takes_all_back(self) -> None:
        """A release takes back all addresses of a VM, and may find none."""
        self.claim(host(2), "a")
        self.acquire("a")
        self.release("a")
        self.release("a")
        self.assertEqual(self.acquire("b"), host(6))
        self.claim(host(2), "b")

    def test_several_subnets(self) -> None:
        """Each address is claimed, found and released in the subnet that it is in."""
        other = subnet_with(IPv4Network("10.1.0.0/29"), IPv4Address("10.1.0.1"))
        self.begin(SUBNET, other)
        self.claim(other.cidr.network_address + 2, "a")
        self.assertEqual(self.acquire("b", other), other.cidr.network_address + 6)
        self.assertEqual(self.acquire("b"), host(6))
        self.assertIn("in use by a", self.refusal(IPv4Address("10.1.0.2")))
        self.assertEqual(self.pools.owner(IPv4Address("10.1.0.6")), "b")
        self.release("b")
        self.assertIsNone(self.pools.owner(host(6)))
        self.assertIsNone(self.pools.owner(IPv4Address("10.1.0.6")))
        outside = self.refusal(IPv4Address("10.2.0.2"))
        self.assertIn("is outside of 10.0.0.0/29, 10.1.0.0/29", outside)

    def test_a_subnet_that_is_opened(self) -> None:
        """It is there until nobody has an address of it, and has the protected ones."""
        other = subnet_with(IPv4Network("10.1.0.0/29"), IPv4Address("10.1.0.1"))
        self.pools.protect(IPv4Address("10.1.0.2"), "vm-unread")
        self.pools.open(other)
        self.pools.open(replace(other, dns=("192.0.2.53",)))
        self.assertEqual(self.pools.subnets, (SUBNET, other))
        self.assertIn("in use by vm-unread", self.refusal(IPv4Address("10.1.0.2")))
        self.claim(IPv4Address("10.1.0.3"), "a")
        self.release("vm-unread")
        self.assertEqual(self.pools.subnets, (SUBNET, other))
        self.release("a")
        self.assertEqual(self.pools.subnets, (SUBNET,))

    def test_a_subnet_with_what_was_protected(self) -> None:
        """
        What one VM is said to have in it does not keep away what others have; it may be
        there with only a part, and be nobody's in the end.
        """
        other = subnet_with(IPv4Network("10.1.0.0/28"), IPv4Address("10.1.0.1"))
        self.pools.protect(IPv4Address("10.1.0.1"), "vm-gateway")
        self.pools.protect(IPv4Network("10.1.0.8/29"), "vm-block")
        self.pools.protect(IPv4Address("10.1.0.9"), "vm-late")
        wide = IPv4Network("10.0.0.0/15")
        recorded = self.pools.claim(IPv4Network("10.1.0.4/30"), "vm-gone", recorded=True)
        self.failureResultOf(recorded, AddressUnavailable)
        self.pools.open(other)
        self.assertEqual(self.pools.owner(IPv4Address("10.1.0.9")), "vm-block")
        self.assertEqual(self.pools.owner(IPv4Address("10.1.0.5")), "vm-gone")
        for owner in ("vm-block", "vm-gone", "vm-late", "vm-gateway"):
            self.release(owner)
        self.assertEqual(self.pools.subnets, (SUBNET,))
        self.pools.protect(wide, "vm-wide")
        self.pools.open(other)
        self.assertEqual(self.pools.owner(IPv4Address("10.1.0.9")), "vm-wide")
        self.assertIsNone(self.pools.owner(IPv4Address("10.1.0.1")))

    def test_subnets_that_overlap(self) -> None:
        """A subnet that overlaps with another is refused, and both are named."""
        for network, gateway in [
            ("10.0.0.0/16", "10.0.0.1"),
            ("10.0.0.0/30", "10.0.0.1"),
            ("10.0.0.0/29", "10.0.0.2"),
        ]:
            other = subnet_with(IPv4Network(network), IPv4Address(gateway))
            with self.assertRaises(AddressUnavailable) as raised:
                self.pools.open(other)
            self.assertIn(f"network {network} with", str(raised.exception))
            self.assertIn("with 10.0.0.0/29 of this host", str(raised.exception))
        self.assertEqual(self.pools.subnets, (SUBNET,))

    def test_an_ipv6_address(self) -> None:
        """An IPv6 address is outside of all subnets, and nobody has it."""
        address = IPv6Address("2001:db8::2")
        self.assertIn("outside of 10.0.0.0/29", self.refusal(address))
        self.assertIsNone(self.pools.owner(address))


OWNERS = st.sampled_from(["a", "b", "c"])
POSSIBLE = {host(number) for number in range(1, 7)} - {GATEWAY}


class AgainstASet(RuleBasedStateMachine):
    """Whatever is done in whatever order, the pools agree with a plain mapping."""

    def __init__(self) -> None:
        super().__init__()
        self.case = SynchronousTestCase()
        self.pools = AddressPools([SUBNET])
        self.owners: dict[IPv4Address, str] = {}
        self.blocks: dict[IPv4Network, str] = {}

    def holders(self) -> dict[IPv4Address, str]:
        """Return who has which address, alone or in a block."""
        in_blocks = {a: owner for block, owner in self.blocks.items() for a in block}
        return {**in_blocks, **self.owners}

    @rule(owner=OWNERS)
    def acquire(self, owner: str) -> None:
        """The highest free address is given, or there is none."""
        free = POSSIBLE - self.holders().keys()
        acquired = self.pools.acquire(SUBNET, owner)
        if free:
            address = self.case.successResultOf(acquired)
            assert address == max(free)
            self.owners[address] = owner
        else:
            self.case.failureResultOf(acquired, AddressUnavailable)

    @rule(owner=OWNERS, number=st.integers(-1, 8))
    def claim(self, owner: str, number: int) -> None:
        """An address is given if it can be given and is nobody else's."""
        address = host(number)
        claimed = self.pools.claim(address, owner)
        if address in POSSIBLE and self.holders().get(address, owner) == owner:
            self.case.successResultOf(claimed)
            assert self.pools.owner(address) == owner
            self.owners[address] = owner
        else:
            self.case.failureResultOf(claimed, AddressUnavailable)

    @rule(
        owner=OWNERS, first=st.sampled_from([-2, 0, 2, 4, 6, 8]), bits=st.integers(30, 31)
    )
    def claim_block(self, owner: str, first: int, bits: int) -> None:
        """A block is given if all of it can be given and is nobody else's."""
        block = IPv4Network((host(first), bits), strict=False)
        claimed = self.pools.claim(block, owner)
        holders = self.holders()
        if all(a in POSSIBLE and holders.get(a, owner) == owner for a in block):
            self.case.successResultOf(claimed)
            self.blocks[block] = owner
        else:
            self.case.failureResultOf(claimed, AddressUnavailable)

    @precondition(lambda self: self.owners or self.blocks)
    @rule(owner=OWNERS)
    def release(self, owner: str) -> None:
        """All of one owner is free again."""
        self.case.successResultOf(self.pools.release(owner))
        self.owners = {a: held for a, held in self.owners.items() if held != owner}
        self.blocks = {b: held for b, held in self.blocks.items() if held != owner}

    @invariant()
    def everybody_has_what_is_theirs(self) -> None:
        """Claiming what one has succeeds, and changes nothing."""
        for address, owner in self.owners.items():
            self.case.successResultOf(self.pools.claim(address, owner))
        holders = self.holders()
        for address in POSSIBLE:
            assert self.pools.owner(address) == holders.get(address)


TestAgainstASet = AgainstASet.TestCase
