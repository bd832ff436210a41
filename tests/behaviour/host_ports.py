"""Which ports the host has in use: L{IHostPorts}."""

from __future__ import annotations

from ipaddress import IPv4Address

from runc_cpi.daemon.networks.interfaces import IHostPorts
from runc_cpi.daemon.networks.ports import parse
from tests.behaviour.case import HostCase


class Behaviour(HostCase):
    """A process of the host that has a port, and addresses."""

    interfaces = (IHostPorts,)

    async def user(self, text: str, *versions: int) -> str | None:
        """Return who has these ports, of IPv4 if nothing else is said."""
        (port,) = parse([text])
        return await self.host_ports.user(port, versions or (4,))

    async def test_a_port_in_use(self) -> None:
        """C{user} names the process, whatever the range or the address."""
        taken = self.take_a_port()
        for text in (
            f"{taken}:80",
            f"{taken - 1}-{taken + 1}:1-3",
            f"127.0.0.1:{taken}:80",
            f"0.0.0.0:{taken}:80",
        ):
            self.assertRegex(
                await self.user(text) or "", r"^process [0-9]+ \(.+\) of this host$"
            )

    async def test_a_free_port(self) -> None:
        """C{user} names nobody for other ports."""
        taken = self.take_a_port()
        for text in (f"{taken - 2}-{taken - 1}:1-2", f"{taken + 1}:80"):
            self.assertIsNone(await self.user(text))

    async def test_another_kind_of_ip(self) -> None:
        """Who takes IPv4 alone is in nobody's way with IPv6."""
        taken = self.take_a_port()
        self.assertIsNone(await self.user(f"{taken}:80", 6))
        self.assertIsNotNone(await self.user(f"{taken}:80", 4, 6))

    def test_local_addresses(self) -> None:
        """C{is_local} tells the host's own addresses from those of others."""
        self.assertIs(self.host_ports.is_local(IPv4Address("127.0.0.1")), True)
        self.assertIs(self.host_ports.is_local(IPv4Address("192.0.2.77")), False)
