"""The address pool: lowest first, no address twice, and none lost."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from runc_cpi.daemon.networks.address_pool import AddressPool
from runc_cpi.daemon.networks.interfaces import IAddressPool
from runc_cpi.errors import AddressUnavailable

NETWORK = IPv4Network("10.0.0.0/29")
GATEWAY = IPv4Address("10.0.0.1")


def host(number: int) -> IPv4Address:
    """Return the address of that number in the network."""
    return NETWORK.network_address + number


class AddressPoolTests(SynchronousTestCase):
    """One pool over a network of six hosts, one of which is the gateway."""

    def setUp(self) -> None:
        self.pool = AddressPool(NETWORK, GATEWAY)

    def acquire(self, owner: str) -> IPv4Address:
        """Acquire an address at once."""
        return self.successResultOf(self.pool.acquire(owner))

    def claim(self, address: IPv4Address, owner: str) -> IPv4Address:
        """Claim an address at once."""
        return self.successResultOf(self.pool.claim(address, owner))

    def refusal(self, address: str, owner: str = "vm-x") -> str:
        """Return why an address cannot be claimed."""
        failure = self.failureResultOf(
            self.pool.claim(IPv4Address(address), owner), AddressUnavailable
        )
        return str(failure.value)

    def test_interface(self) -> None:
        """The pool is what the domain asks for."""
        verifyObject(IAddressPool, self.pool)

    def test_lowest_free_comes_first(self) -> None:
        """The gateway is passed over."""
        self.assertEqual([self.acquire("a"), self.acquire("b")], [host(2), host(3)])

    def test_gateway_in_the_middle_is_passed_over(self) -> None:
        """The configuration may put it anywhere."""
        self.pool = AddressPool(NETWORK, host(3))
        given = [self.acquire(str(i)) for i in range(5)]
        self.assertEqual(given, [host(1), host(2), host(4), host(5), host(6)])

    def test_freed_address_is_the_lowest_again(self) -> None:
        """What was taken back is handed out before what was never used."""
        for owner in "abc":
            self.acquire(owner)
        self.successResultOf(self.pool.release("b"))
        self.assertEqual([self.acquire("d"), self.acquire("e")], [host(3), host(5)])

    def test_exhaustion_names_the_network(self) -> None:
        """It is found again and again, and ends when an address comes back."""
        for number in range(5):
            self.acquire(str(number))
        for _ in range(2):
            failure = self.failureResultOf(self.pool.acquire("late"), AddressUnavailable)
            self.assertEqual(str(failure.value), "no address is left in 10.0.0.0/29")
        self.successResultOf(self.pool.release("3"))
        self.assertEqual(self.acquire("late"), host(5))

    def test_the_last_network_of_all_can_be_exhausted(self) -> None:
        """Counting beyond the last address there is would be an error of its own."""
        network = IPv4Network("255.255.255.252/30")
        pool = AddressPool(network, network.network_address + 1)
        last = self.successResultOf(pool.acquire("a"))
        self.assertEqual(last, IPv4Address("255.255.255.254"))
        self.failureResultOf(pool.acquire("b"), AddressUnavailable)

    def test_claimed_address_is_not_acquired(self) -> None:
        """It is passed over as long as its owner has it."""
        self.assertEqual(self.claim(host(2), "a"), host(2))
        self.assertEqual(self.acquire("b"), host(3))

    def test_claiming_again_is_fine(self) -> None:
        """The owner has the address already, once."""
        self.claim(host(4), "a")
        self.assertEqual(self.claim(host(4), "a"), host(4))

    def test_conflict_names_the_owner(self) -> None:
        """The operator learns which VM is in the way."""
        self.claim(host(4), "vm-of-another")
        self.assertEqual(
            self.refusal("10.0.0.4"), "address 10.0.0.4 is in use by vm-of-another"
        )

    def test_addresses_that_are_nobodys(self) -> None:
        """Each refusal names the address and the reason."""
        for address, reason in [
            ("10.0.0.8", "outside of 10.0.0.0/29"),
            ("9.255.255.255", "outside of 10.0.0.0/29"),
            ("10.0.0.0", "the network address of 10.0.0.0/29"),
            ("10.0.0.1", "the gateway"),
            ("10.0.0.7", "the broadcast address of 10.0.0.0/29"),
        ]:
            self.assertIn(f"address {address} is {reason}", self.refusal(address))

    def test_refused_claim_takes_nothing(self) -> None:
        """Afterwards the pool is as it was."""
        self.claim(host(2), "a")
        self.refusal("10.0.0.2", "b")
        self.successResultOf(self.pool.release("b"))
        self.assertIn("in use by a", self.refusal("10.0.0.2", "c"))

    def test_release_takes_all_back(self) -> None:
        """An owner may have several, and one that has none is no error."""
        self.claim(host(5), "a")
        self.acquire("a")
        self.successResultOf(self.pool.release("a"))
        self.successResultOf(self.pool.release("a"))
        self.assertEqual(self.acquire("b"), host(2))
        self.assertEqual(self.claim(host(5), "b"), host(5))


OWNERS = st.sampled_from(["a", "b", "c"])
POSSIBLE = {host(number) for number in range(1, 7)} - {GATEWAY}


class AgainstASet(RuleBasedStateMachine):
    """Whatever is done in whatever order, the pool agrees with a plain mapping."""

    def __init__(self) -> None:
        super().__init__()
        self.case = SynchronousTestCase()
        self.pool = AddressPool(NETWORK, GATEWAY)
        self.owners: dict[IPv4Address, str] = {}

    @rule(owner=OWNERS)
    def acquire(self, owner: str) -> None:
        """The lowest free address is given, or there is none."""
        free = POSSIBLE - self.owners.keys()
        acquired = self.pool.acquire(owner)
        if free:
            address = self.case.successResultOf(acquired)
            assert address == min(free)
            self.owners[address] = owner
        else:
            self.case.failureResultOf(acquired, AddressUnavailable)

    @rule(owner=OWNERS, number=st.integers(-1, 8))
    def claim(self, owner: str, number: int) -> None:
        """An address is given if it can be given and is nobody else's."""
        address = host(number)
        claimed = self.pool.claim(address, owner)
        if address in POSSIBLE and self.owners.get(address, owner) == owner:
            assert self.case.successResultOf(claimed) == address
            self.owners[address] = owner
        else:
            self.case.failureResultOf(claimed, AddressUnavailable)

    @precondition(lambda self: self.owners)
    @rule(owner=OWNERS)
    def release(self, owner: str) -> None:
        """All of one owner is free again."""
        self.case.successResultOf(self.pool.release(owner))
        self.owners = {a: held for a, held in self.owners.items() if held != owner}

    @invariant()
    def everybody_has_what_is_theirs(self) -> None:
        """Claiming what one has succeeds, and changes nothing."""
        for address, owner in self.owners.items():
            assert self.case.successResultOf(self.pool.claim(address, owner)) == address


TestAgainstASet = AgainstASet.TestCase
