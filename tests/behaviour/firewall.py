"""How rules of forwarding are replaced: L{IFirewall}."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, ip_address, ip_interface

from runc_cpi.daemon.networks.interfaces import IFirewall
from runc_cpi.daemon.networks.model import described
from runc_cpi.daemon.networks.ports import parse
from runc_cpi.daemon.networks.rules import NO_RULES, Occupant, Ruleset, rules
from tests.behaviour.case import SUBNET, VM, HostCase

SIX = described(ip_interface("fd00:99::1/64"))


def ruleset(
    *ports: str, vips: Sequence[str] = (), addresses: Sequence[str] = ("10.99.0.2",)
) -> Ruleset:
    """Return the rules of a VM that publishes these ports, and has these vips."""
    vm = Occupant(
        addresses=tuple(map(ip_address, addresses)),
        ports=parse(list(ports)),
        vips=tuple(map(IPv4Address, vips)),
    )
    return rules([SUBNET, SIX], [vm])


class Behaviour(HostCase):
    """Rules that come, change and go."""

    interfaces = (IFirewall,)

    async def test_rules_are_replaced(self) -> None:
        """Any rules can follow any others."""
        for ports in ([], ["8080:80"], ["8080:81", "127.0.0.1:53:53/udp"], ["1-9:1-9"], []):
            await self.firewall.apply(ruleset(*ports))
            await self.firewall.apply(ruleset(*ports))
            self.assertIs(await self.firewall.restore(), False)
        await self.firewall.apply(NO_RULES)

    async def test_both_kinds_of_ip(self) -> None:
        """Rules of one kind of IP can follow those of the other, or of both."""
        four, six = "10.99.0.2", "fd00:99::2"
        for addresses in ([six], [four, six], [four]):
            wanted = ruleset("8080:80", "53:53/udp", addresses=addresses)
            await self.firewall.apply(wanted)
            self.assertIs(await self.firewall.restore(), False)
            await self.apply_elsewhere(wanted)
            (claims,) = await self.firewall.of_others()
            self.assertEqual(claims.redirections, wanted.redirections)
        await self.firewall.apply(NO_RULES)
        await self.apply_elsewhere(NO_RULES)

    async def test_vips_are_replaced(self) -> None:
        """Any vips can follow any others."""
        first, second = "198.18.0.1", "198.18.0.2"
        for vips in ([], [first], [second], [first, second], [first], []):
            await self.firewall.apply(ruleset(vips=vips))
            await self.firewall.apply(ruleset(vips=vips))
            self.assertIs(await self.firewall.restore(), False)
        await self.firewall.apply(NO_RULES)

    async def test_vips_that_somebody_took_away(self) -> None:
        """C{restore} puts vips back with the rules."""
        await self.firewall.apply(ruleset(vips=["198.18.0.1"]))
        self.take_rules_away()
        self.assertIs(await self.firewall.restore(), True)
        self.assertIs(await self.firewall.restore(), False)

    async def test_other_daemons(self) -> None:
        """C{of_others} tells what they have, and nothing of what is our own."""
        own, theirs = ruleset("1-9:1-9"), ruleset("8080:80", vips=["198.18.0.1"])
        await self.firewall.apply(own)
        self.assertEqual(await self.firewall.of_others(), [])
        await self.apply_elsewhere(theirs)
        (claims,) = await self.firewall.of_others()
        self.assertIn("another runc-cpid", claims.owner)
        self.assertEqual(claims.redirections, theirs.redirections)
        self.assertEqual(claims.vips, {vip.address for vip in theirs.vips})
        await self.apply_elsewhere(NO_RULES)
        self.assertEqual(await self.firewall.of_others(), [])

    async def test_no_rules(self) -> None:
        """To have no rules is no error, and nothing is missing then."""
        self.assertIs(await self.firewall.restore(), False)
        for _ in range(2):
            await self.firewall.apply(NO_RULES)
        self.assertIs(await self.firewall.restore(), False)

    async def test_rules_that_somebody_took_away(self) -> None:
        """C{restore} puts rules back, and says that they were missing."""
        await self.firewall.apply(ruleset("8080:80"))
        self.take_rules_away()
        self.assertIs(await self.firewall.restore(), True)
        self.assertIs(await self.firewall.restore(), False)
        self.take_rules_away()
        await self.firewall.apply(ruleset("8081:80"))
        self.assertIs(await self.firewall.restore(), False)

    async def test_a_vm_is_reflected(self) -> None:
        """C{reflect} works for a VM that is connected, also twice."""
        await self.connect()
        for _ in range(2):
            await self.firewall.reflect(VM)
