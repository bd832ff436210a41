"""What VMs have of the host's network: ways out, to peers and to blocks, and ports."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from twisted.internet.defer import DeferredLock

from runc_cpi.daemon.base.calls import spanned
from runc_cpi.daemon.base.repairs import Repairs
from runc_cpi.daemon.networks.blocks import RoutedBlock
from runc_cpi.daemon.networks.interfaces import IAddressPools, IFirewall, IHostPorts
from runc_cpi.daemon.networks.model import Address
from runc_cpi.daemon.networks.ports import WHERE, HeldPorts, PublishedPort
from runc_cpi.daemon.networks.rules import Occupant
from runc_cpi.daemon.networks.tally import Tally
from runc_cpi.daemon.networks.vips import Vips
from runc_cpi.daemon.networks.ways import WaysToBlocks, WaysToPeers
from runc_cpi.errors import InvalidArgument, PortUnavailable


class Forwarding:
    """
    Keeps the host's rules as the VMs need them.

    It is in memory alone: the records of VMs say what each publishes after a restart.
    """

    def __init__(
        self,
        pools: IAddressPools,
        firewall: IFirewall,
        host_ports: IHostPorts,
        vips: Vips,
        ways: WaysToPeers,
        block_ways: WaysToBlocks,
    ) -> None:
        self._pools, self._firewall, self._host_ports = pools, firewall, host_ports
        self._vips, self._ways, self._block_ways = vips, ways, block_ways
        self._tally = Tally()
        # A port is held before its VM is an occupant: until it is found free, no rule may
        # lead to it.
        self._held: HeldPorts[str] = HeldPorts()
        self._ports: dict[str, Sequence[PublishedPort]] = {}
        self._lock = DeferredLock()

    @spanned("ports")
    async def admit(
        self,
        vm_cid: str,
        addresses: Sequence[Address],
        ports: Sequence[PublishedPort],
        vips: Sequence[Address] = (),
        blocks: Iterable[RoutedBlock] = (),
    ) -> None:
        """
        Take a new VM in, with its ports and its vips; L{apply} makes it so.

        @param vips: the addresses of the host that it is to have.
        @param blocks: those that are to be routed to it.
        @raise PortUnavailable: naming the VM, the process or the daemon that has a port.
        @raise AddressUnavailable: naming the VM or the daemon that has a vip, or what to
            configure.
        @raise InvalidArgument: if a port is to be at an address that is not the host's, or
            of a kind that the VM has none of.
        @raise CloudError: if the host cannot tell who has its ports.
        """
        try:
            for vip in vips:
                self._hold_vip(vm_cid, vip)
            self._hold(vm_cid, ports)
            versions = {address.version for address in addresses}
            for port in ports:
                await self._check(port, versions)
            if ports or vips:
                await self._check_others(ports, vips)
        except BaseException:
            self._let_go(vm_cid)
            raise
        occupant = Occupant(
            addresses=tuple(addresses),
            ports=tuple(ports),
            vips=tuple(vips),
            blocks=frozenset(blocks),
        )
        self._tally.put(vm_cid, occupant)

    def _hold(self, vm_cid: str, ports: Sequence[PublishedPort]) -> None:
        for port in ports:
            holder = self.publisher(port)
            if holder is not None:
                raise PortUnavailable(f"port {port} is published by {holder}")
            if port.address is not None and (owner := self._vips.holder(port.address)):
                raise PortUnavailable(f"port {port}: {port.address} is the vip of {owner}")
        self._ports[vm_cid] = ports
        for port in ports:
            self._held.add(port, vm_cid)

    def publisher(self, port: PublishedPort) -> str | None:
        """Return the VM that has one of these ports, or L{None} if none does."""
        return self._held.holder(port)

    def vip_holder(self, vip: Address) -> str | None:
        """Return the VM that has an address of the host, or L{None} if none does."""
        return self._vips.holder(vip)

    def _hold_vip(self, vm_cid: str, vip: Address) -> None:
        for publisher, ports in self._ports.items():
            for port in ports:
                if port.address == vip:
                    raise PortUnavailable(
                        f"vip {vip}: port {port} is published by {publisher}"
                    )
        self._vips.hold(vip, vm_cid)

    def _let_go(self, vm_cid: str) -> None:
        for port in self._ports.pop(vm_cid, ()):
            self._held.remove(port)
        self._vips.let_go(vm_cid)

    async def _check(self, port: PublishedPort, versions: Collection[int]) -> None:
        """
        Check that a port of the host can lead to a VM.

        @param versions: the kinds of IP that the VM has addresses of.
        """
        if port.address is not None:
            is_one = not port.address.is_unspecified
            if is_one and not self._host_ports.is_local(port.address):
                raise InvalidArgument(f"{WHERE}: {port.address} is no address of this host")
            versions = {port.address.version} & set(versions)
            if not versions:
                raise InvalidArgument(
                    f"{WHERE}: {port} is at an address of IPv{port.address.version}, of "
                    "which the VM has none"
                )
        user = await self._host_ports.user(port, versions)
        if user is not None:
            raise PortUnavailable(f"port {port} is in use by {user}")

    async def _check_others(
        self, ports: Sequence[PublishedPort], vips: Sequence[Address]
    ) -> None:
        for claims in await self._firewall.of_others():
            for port in ports:
                claims.check_port(port)
            for vip in vips:
                claims.check_vip(vip)

    def recall(
        self,
        vm_cid: str,
        addresses: Sequence[Address],
        ports: Sequence[PublishedPort],
        blocks: Iterable[RoutedBlock] = (),
    ) -> None:
        """
        Take a VM in that was there before; L{apply} makes it so.

        @raise PortUnavailable: naming the VM that has a port; this one is in without any.
        """
        self._let_go(vm_cid)
        occupant = Occupant(addresses=tuple(addresses), blocks=frozenset(blocks))
        self._tally.put(vm_cid, occupant)
        self._hold(vm_cid, ports)
        self._tally.put(vm_cid, replace(occupant, ports=tuple(ports)))

    def recall_vip(self, vm_cid: str, vip: Address) -> None:
        """
        Give a VM that was recalled an address of the host that it had before.

        @raise AddressUnavailable: naming the VM that has it, or what to configure.
        @raise PortUnavailable: if another VM publishes a port there.
        """
        self._hold_vip(vm_cid, vip)
        occupant = self._tally.get(vm_cid)
        self._tally.put(vm_cid, replace(occupant, vips=(*occupant.vips, vip)))

    @spanned("rules")
    async def connected(self, vm_cid: str) -> None:
        """
        Have the host do what a VM needs that was just connected.

        @raise CloudError: if the kernel refuses, also one of the VM's own blocks.
        """
        occupant = self._tally.get(vm_cid)
        async with self._lock:
            await self._apply()
            self._block_ways.check(occupant.blocks)
        if occupant.ports or occupant.vips:
            await self._firewall.reflect(vm_cid)

    @spanned("rules")
    async def dismiss(self, vm_cid: str) -> None:
        """
        Take away what a VM has; it is no error if it has nothing.

        @raise CloudError: if the kernel refuses; the rules are then as before.
        """
        self._tally.remove(vm_cid)
        self._let_go(vm_cid)
        await self.apply()

    async def apply(self) -> None:
        """
        Have the host do what all VMs need.

        @raise CloudError: if the kernel refuses.
        """
        async with self._lock:
            await self._apply()

    async def _apply(self) -> None:
        """Do so while the lock is held."""
        wanted = self._tally.ruleset(self._pools.subnets, self._ways.configured)
        # An overlay is never there without its rules.
        if not wanted.peering.peers:
            await self._ways.reach(wanted.peering)
        await self._firewall.apply(wanted)
        await self._ways.reach(wanted.peering)
        await self._block_ways.reach(self._tally.blocks())

    async def repair(self, repairs: Repairs) -> None:
        """Have the host do what all VMs need, also if somebody else took that away."""
        with repairs.attempt("forwarding"):
            await self.apply()
            async with self._lock:
                if await self._firewall.restore():
                    repairs.did("put back the rules of forwarding, which were gone")
                if await self._ways.restore():
                    repairs.did("put back the ways to peers, which were gone")
                if await self._block_ways.restore():
                    repairs.did("put back the routes to blocks of VMs, which were gone")
