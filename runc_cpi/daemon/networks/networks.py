"""The networks of VMs: the subnets that there are, and who has which address."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from ipaddress import IPv4Network, IPv6Network, ip_address

from twisted.internet.defer import DeferredLock

from runc_cpi.daemon.base.address_range import AddressRange
from runc_cpi.daemon.base.calls import spanned
from runc_cpi.daemon.networks.bridge_ports import check_room
from runc_cpi.daemon.networks.free_ranges import first_free
from runc_cpi.daemon.networks.interfaces import IAddressPools, INameService, INetworker
from runc_cpi.daemon.networks.model import Address, IPNetwork, Network, Subnet, subnet_of
from runc_cpi.daemon.networks.peers import Peer, overlap_with_peers
from runc_cpi.daemon.networks.planning import Lease
from runc_cpi.daemon.networks.requests import described_gateway
from runc_cpi.daemon.networks.settings import overruled
from runc_cpi.errors import AddressUnavailable, CloudError


class Networks:
    """
    Gives VMs their addresses, and keeps a bridge and DNS for each subnet that has a VM.

    @param allowed: where subnets can be that no configuration has.
    @param peers: the hosts whose networks they cannot be in.
    @param vips: the addresses of C{vip} networks, which are in no such subnet.
    """

    def __init__(
        self,
        pools: IAddressPools,
        networker: INetworker,
        names: INameService,
        allowed: Sequence[IPNetwork],
        peers: Sequence[Peer] = (),
        vips: Sequence[AddressRange] = (),
    ) -> None:
        self._pools, self._networker, self._names = pools, networker, names
        self._allowed, self._peers, self._vips = allowed, peers, vips
        self._lock = DeferredLock()
        self._present: tuple[Subnet, ...] | None = None
        self._were_good: set[Subnet] = set()

    def cidrs(self) -> list[IPNetwork]:
        """Return the networks that VMs are in, or can be without describing them."""
        return [subnet.cidr for subnet in self._pools.subnets]

    async def assign(self, networks: Sequence[Network], owner: str) -> dict[str, Lease]:
        """
        Take an address for each network but the C{vip} ones.

        Addresses that are asked for are taken first, so that no dynamic network gets them.

        @param owner: the VM's cid.
        @return: the addresses by network name, in the order of C{networks}.
        @raise InvalidArgument: if an address is in no subnet, and none is described.
        @raise AddressUnavailable: if one cannot be had; C{owner} may have others by then.
        @raise VMCreationFailed: if a bridge has no port left; likewise.
        @raise CloudError: if the kernel does not tell what the host has.
        """
        leases: dict[str, Lease] = {}
        own = await self._networker.own_addresses()
        asked = [(n.address, n) for n in networks if n.kind == "manual" and n.address]
        # A subnet of IPv6 comes to the bridge of one of IPv4, which is there by then.  A
        # network that describes its subnet by single addresses knows it best.
        asked.sort(key=lambda each: (each[0].version, each[1].block is not None))
        for address, network in asked:
            beside = self._beside(network, networks)
            leases[network.name] = await self._claim(network, address, beside, owner)
            _check_own(network, own)
        for network in networks:
            if network.kind == "dynamic":
                subnet = self._chosen(network)
                address = await self._pools.acquire(subnet, owner, own)
                leases[network.name] = Lease(address=address, subnet=subnet)
        for bridge in {lease.subnet.bridge for lease in leases.values()}:
            there = [subnet for subnet in self._pools.subnets if subnet.bridge == bridge]
            check_room(bridge, there, len(self._pools.sharing(bridge)))
        return {n.name: leases[n.name] for n in networks if n.name in leases}

    def _beside(self, network: Network, networks: Sequence[Network]) -> Subnet | None:
        """Return a subnet of another network that is to share the interface, if any is."""
        group = network.settings.get("nic_group")
        for other in networks:
            if group is None or other.settings.get("nic_group") != group:
                continue
            found = subnet_of(other.address, self._pools.subnets)
            if other.kind == "dynamic":
                found = self._chosen(other)
            if found is not None:
                return found
        return None

    async def _claim(
        self, network: Network, address: Address, beside: Subnet | None, owner: str
    ) -> Lease:
        subnet = subnet_of(address, self._pools.subnets)
        if subnet is None:
            subnet = await self._open(network, beside)
        await self._pools.claim(network.holding or address, owner)
        return Lease(address=address, subnet=subnet, block=network.block)

    async def _open(self, network: Network, beside: Subnet | None) -> Subnet:
        """
        Have the subnet that a network describes.

        @param beside: one of the other kind of IP, whose bridge it shares.
        """
        gateway, where = described_gateway(network), f"networks.{network.name}"
        bridge = None
        if beside is not None and beside.version != gateway.version:
            bridge = beside.bridge
            for other in self._pools.subnets:
                if (other.bridge, other.version) == (bridge, gateway.version):
                    raise AddressUnavailable(
                        f"{where}.nic_group: {gateway.network} cannot share a bridge with "
                        f"{beside.cidr}, as {other.cidr} does"
                    )
        subnet = self._pools.described(gateway, bridge)
        await self.check(subnet, where)
        self._pools.open(subnet)
        return subnet

    async def check(self, subnet: Subnet, where: str) -> None:
        """
        Check that this host may have a subnet that no configuration has.

        @param where: names the argument that asks for it.
        @raise AddressUnavailable: if it is outside of C{allowed_networks}, or overlaps
            with a network of the host or a peer, or with C{vip_addresses}.
        @raise CloudError: if the kernel does not tell what the host has.
        """
        where = f"{where}: {subnet.cidr}"
        if not any(_is_within(subnet.cidr, allowed) for allowed in self._allowed):
            raise AddressUnavailable(
                f"{where} is no network of this host, and outside of allowed_networks of "
                f"the daemon, which is {self._allowed_text()}"
            )
        overlap = overlap_with_peers(self._peers, subnet.cidr)
        if overlap is not None:
            raise AddressUnavailable(f"{where} overlaps with {overlap}")
        for vips in self._vips:
            if vips.overlaps(subnet.cidr):
                raise AddressUnavailable(f"{where} overlaps with {vips} of vip_addresses")
        overlap = await self._networker.overlap(subnet)
        if overlap is not None:
            raise AddressUnavailable(f"{where} overlaps with {overlap} of this host")

    async def free_range(self, prefixlen: int) -> IPv4Network:
        """
        Return a network of IPv4 that neither VMs nor the host have.

        @param prefixlen: its size, as bits of a netmask.
        @raise AddressUnavailable: if C{allowed_networks} has no room for one.
        @raise CloudError: if the kernel does not tell what the host has.
        """
        # Routes to peers are there only while a VM is.
        of_peers = [cidr for peer in self._peers for cidr in peer.cidrs]
        of_vips = [cidr for vips in self._vips for cidr in vips.networks()]
        own = await self._networker.own_networks()
        taken = [*_of_ipv4(self.cidrs()), *of_peers, *of_vips, *own]
        found = first_free(_of_ipv4(self._allowed), prefixlen, taken)
        if found is None:
            raise AddressUnavailable(
                f"no network of {prefixlen} bits is left in allowed_networks of the "
                f"daemon, which is {self._allowed_text()}"
            )
        return found

    def _allowed_text(self) -> str:
        return ", ".join(map(str, self._allowed)) or "empty"

    def with_dns(self, subnet: Subnet) -> Subnet:
        """Return a subnet with the name servers that networks get that name none."""
        return replace(subnet, dns=tuple(self._names.name_servers(subnet)))

    def overruled(self, networks: Sequence[Network]) -> list[str]:
        """Name the settings that were asked for and are otherwise in the subnets."""
        found = {n.name: subnet_of(n.address, self._pools.subnets) for n in networks}
        return overruled(networks, {name: s for name, s in found.items() if s is not None})

    def _chosen(self, network: Network) -> Subnet:
        """Return the subnet of a dynamic network: the one that it names, or the first."""
        properties = network.settings.get("cloud_properties")
        name = properties.get("name") if isinstance(properties, dict) else None
        for subnet in self._pools.lasting:
            if name is not None and subnet.name == name:
                return subnet
        return self._pools.configured[0]

    async def release(self, owner: str) -> None:
        """
        Take back all that C{owner} has, and remove what nobody needs then.

        @raise CloudError: if the kernel refuses.
        """
        await self._pools.release(owner)
        await self.settle()

    async def require(self, subnets: Collection[Subnet]) -> None:
        """
        Have the bridges of all subnets, among them these.

        @raise CloudError: if one of these cannot be had.
        """
        failed = await self.settle()
        for subnet in subnets:
            if subnet in failed:
                raise CloudError(failed[subnet])

    @spanned("bridges")
    async def settle(self, *, afresh: bool = False) -> Mapping[Subnet, str]:
        """
        Have the bridges of the subnets that there are now, and DNS at their gateways.

        @param afresh: whether to look at each, though the subnets are the same as before.
        @return: why not, for each subnet that cannot be had.
        @raise CloudError: if the kernel refuses.
        """
        await self._lock.acquire()
        try:
            wanted = tuple(self._pools.subnets)
            if not afresh and wanted == self._present:
                return {}
            known = () if afresh or self._present is None else self._present
            self._present = None
            failed = await self._overlaps(wanted)
            free = [subnet for subnet in wanted if subnet not in failed]
            failed |= await self._networker.set_up(free, known)
            good = [subnet for subnet in wanted if subnet not in failed]
            self._were_good = (self._were_good | set(good)) & set(wanted)
            await self._names.serve(good, self._client_of)
            if not failed:
                self._present = wanted
            return failed
        finally:
            self._lock.release()

    def _client_of(self, address: str) -> str:
        """Return who has an address, or the address if nobody does."""
        return self._pools.owner(ip_address(address)) or address

    async def _overlaps(self, subnets: Collection[Subnet]) -> dict[Subnet, str]:
        """
        Return which subnets overlap with a network that the host has by now.

        That can be so after a reboot of the host, for those that no configuration has.
        """
        found = {}
        for subnet in set(subnets) - self._were_good - set(self._pools.configured):
            overlap = await self._networker.overlap(subnet)
            if overlap is not None:
                found[subnet] = f"{subnet.cidr} overlaps with {overlap} of this host"
        return found


def _is_within(cidr: IPNetwork, allowed: IPNetwork) -> bool:
    if isinstance(cidr, IPv4Network) and isinstance(allowed, IPv4Network):
        return cidr.subnet_of(allowed)
    if isinstance(cidr, IPv6Network) and isinstance(allowed, IPv6Network):
        return cidr.subnet_of(allowed)
    return False


def _of_ipv4(networks: Iterable[IPNetwork]) -> list[IPv4Network]:
    return [network for network in networks if isinstance(network, IPv4Network)]


def _check_own(network: Network, own: Collection[Address]) -> None:
    """Check that no address that a network asks for is one of the host itself."""
    if network.block is None:
        if network.address in own:
            raise AddressUnavailable(f"address {network.address} is the host's own")
        return
    for address in own:
        if address in network.block:
            message = f"block {network.block} has {address}, which is the host's own"
            raise AddressUnavailable(message)
