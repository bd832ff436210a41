"""What other daemons of this host have of its ports and addresses."""

from __future__ import annotations

from dataclasses import dataclass

from runc_cpi.daemon.networks.model import Address
from runc_cpi.daemon.networks.ports import PublishedPort
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
        for other in self.redirections:
            is_there = None in (port.address, other.address) or (
                port.address == other.address
            )
            if is_there and other.protocol == port.protocol and other.port in port.numbers:
                raise PortUnavailable(f"port {port} is published by {self.owner}")

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
