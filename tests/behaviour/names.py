"""Where VMs get DNS: L{INameService}."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from runc_cpi.daemon.networks.interfaces import INameService
from runc_cpi.daemon.networks.model import Subnet
from tests.behaviour.case import SUBNET, HostCase

GATEWAY = [str(SUBNET.gateway)]


class Behaviour(HostCase):
    """The name servers of a subnet, from when its gateway answers until it does not."""

    interfaces = (INameService,)

    def servers(self, subnet: Subnet = SUBNET) -> Sequence[str]:
        """Return the name servers of a subnet."""
        return self.names.name_servers(subnet)

    async def test_a_gateway_is_a_name_server_while_it_answers(self) -> None:
        """The gateway is the name server of its subnet from C{serve} on, as often as."""
        self.assertNotEqual(self.servers(), GATEWAY)
        for _ in range(2):
            await self.names.serve([SUBNET])
            self.assertEqual(self.servers(), GATEWAY)
            await self.names.retry()
            self.assertEqual(self.servers(), GATEWAY)

    async def test_a_gateway_that_is_not_named_any_more(self) -> None:
        """C{serve} without a subnet, and C{stop}, end what was begun."""
        for end in (lambda: self.names.serve([]), self.names.stop):
            await self.names.serve([SUBNET])
            await end()
            self.assertNotEqual(self.servers(), GATEWAY)

    async def test_name_servers_of_the_subnet_come_first(self) -> None:
        """A subnet with name servers of its own keeps them."""
        await self.names.serve([SUBNET])
        self.assertEqual(
            self.servers(replace(SUBNET, dns=("192.0.2.53",))), ("192.0.2.53",)
        )
