"""What other daemons of this host have of its ports and addresses."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property

from runc_cpi.daemon.networks.model import Address
from runc_cpi.daemon.networks.ports import ANYWHERE, PublishedPort
from runc_cpi.daemon.networks.rules import Redirection
from runc_cpi.errors import AddressUnavailable, PortUnavailable


@dataclass(frozen=True, kw_only=True)
class Claims:
    """
    What one other daemon has.

    @ivar owner: names the daemon to people.
    @ivar redirections: the ports that it publishes.
    @ivar vips: the addresses of the host that its VMs have.
    """

    owner: str
    redirections: frozenset[Redirection]
    vips: frozenset[Address]

    def check_port(self, port: PublishedPort) -> None:
        """
        Check that ports can be published beside the other daemon.

        @raise PortUnavailable: naming the daemon that has one of them.
        """
        if port.address in self.vips:
            raise PortUnavailable(f"port {port}: {port.address} is a vip of {self.owner}")
        for number in port.numbers:
            if any(map(port.is_at, self._places.get((port.protocol, number), ()))):
                raise PortUnavailable(f"port {port} is published by {self.owner}")

    @cached_property
    def _places(self) -> Mapping[tuple[str, int], Collection[Address]]:
        """Where each port is published, as both daemons may have thousands."""
        places: dict[tuple[str, int], list[Address]] = {}
        for other in self.redirections:
            address = other.address or ANYWHERE[other.vm_address.version]
            places.setdefault((other.protocol, other.port), []).append(address)
        return places

    def check_vip(self, vip: Address) -> None:
        """
        Check that an address can be a VM's beside the other daemon.

        @raise AddressUnavailable: naming the daemon that has it.
        @raise PortUnavailable: naming the daemon that publishes a port there.
        """
        if vip in self.vips:
            raise AddressUnavailable(f"vip {vip} is in use by {self.owner}")
        for other in self.redirections:
            if other.address == vip:
                port = f"{vip}:{other.port}/{other.protocol}"
                raise PortUnavailable(
                    f"vip {vip}: port {port} is published by {self.owner}"
                )
