"""What is done before the daemon starts: the host is checked, and taken hold of."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from twisted.logger import Logger

from runc_cpi.daemon.config import DaemonConfig
from runc_cpi.daemon.host import capabilities, requirements, resource_limits
from runc_cpi.daemon.host.cgroups import hierarchies
from runc_cpi.daemon.host.disks import mountinfo
from runc_cpi.daemon.host.network import vxlan
from runc_cpi.daemon.host.network.bridges import Bridges, BridgeUnusable, on_bridges
from runc_cpi.daemon.host.network.guarding import NoFilters, try_guarding
from runc_cpi.daemon.host.network.overlaps import own_addresses
from runc_cpi.daemon.host.shared_mounts import SharedMounts
from runc_cpi.daemon.networks.model import Subnet
from runc_cpi.daemon.networks.peers import Overlay, Peer, Peering
from runc_cpi.daemon.storage.depot import Depot
from runc_cpi.daemon.trial import try_runtime
from runc_cpi.daemon.vms.spec.confinement import DROPPED_CAPABILITIES
from runc_cpi.daemon.vms.spec.policy import ContainerPolicy

_log = Logger()


class Refused(Exception):
    """The daemon cannot start; the message says what to change."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """
    What was found fit.

    @ivar runtime: the path of the OCI runtime.
    @ivar subnets: those of the configuration, whose bridges are there.
    @ivar bridges: the bridges of this daemon.
    @ivar peering: the other hosts whose VMs reach those of this one.
    @ivar shared_mounts: the file systems that VMs are kept from making read-only.
    @ivar containers: what VMs of this host may have.
    """

    runtime: str
    subnets: Sequence[Subnet]
    bridges: Bridges
    peering: Peering
    shared_mounts: SharedMounts
    containers: ContainerPolicy


def take_hold(config: DaemonConfig, depot: Depot) -> Found:
    """
    Check the host, make the working directory and the bridges, and try the runtime.

    This blocks, for the reactor does not run yet.

    @raise Refused: if the host or the configuration is not fit.
    """
    shared_mounts = SharedMounts()
    try:
        requirements.check_programs()
        if config.disks.driver == "image":
            requirements.check_loop_devices(config.disks.filesystem)
            if config.vms.root_disk_size is not None:
                requirements.check_root_disks()
        if config.nat or any(network.nat for network in config.networks):
            requirements.check_nftables("nat")
        if any(network.cidr.version == 6 for network in config.networks):
            requirements.check_nftables("networks")
        if config.peers:
            requirements.check_nftables("peers")
        if config.security.profile == "isolated":
            requirements.check_ids(*config.security.ids)
        runtime = requirements.find_runtime(config.runtime)
        _prepare(depot)
        shared_mounts.hold(mountinfo.read(os.getpid()))
        containers = _container_policy(config, depot)
        try_runtime(
            runtime,
            depot,
            containers.cgroup_parent,
            containers.capabilities,
            containers.pids,
            containers.own_ids,
        )
    except requirements.HostUnfit as error:
        raise Refused(str(error)) from None
    if containers.pids is None:
        _log.warn("this kernel cannot bound how many processes a VM has")
    subnets = _subnets(config)
    daemon = containers.cgroup_parent.strip("/")
    peering = _peering(config, daemon)
    bridges = Bridges(daemon, [subnet.bridge for subnet in subnets])
    _make_bridges(config, bridges, subnets, daemon)
    return Found(
        runtime=runtime,
        subnets=subnets,
        bridges=bridges,
        peering=peering,
        shared_mounts=shared_mounts,
        containers=containers,
    )


def _subnets(config: DaemonConfig) -> list[Subnet]:
    return [
        Subnet(
            name=network.name,
            cidr=network.cidr,
            gateway=network.gateway,
            bridge=network.bridge,
            dns=network.dns,
            mtu=network.mtu,
            nat=network.nat,
            isolated=network.isolated,
            reserved=network.reserved,
            dynamic=network.dynamic,
        )
        for network in config.networks
    ]


def _peering(config: DaemonConfig, daemon: str) -> Peering:
    """
    Return the peers, none of which may be this host.

    @param daemon: tells this daemon from others of this host.
    """
    own = own_addresses() if config.peers else set()
    for index, peer in enumerate(config.peers):
        if peer.address in own:
            raise Refused(
                f"peers[{index}].address: {peer.address} is this host's own; it must be "
                "that of another"
            )
    settings, overlay = config.overlay, None
    if config.peers and settings.kind == "vxlan":
        if settings.address is not None and settings.address not in own:
            raise Refused(f"overlay.address: {settings.address} is no address of this host")
        overlay = Overlay(
            interface=vxlan.interface_of(daemon),
            id=settings.id,
            port=settings.port,
            address=settings.address,
            vips=config.vip_addresses,
        )
    peers = tuple(Peer(address=p.address, cidrs=p.cidrs) for p in config.peers)
    return Peering(peers=peers, overlay=overlay)


def _make_bridges(
    config: DaemonConfig, bridges: Bridges, subnets: Sequence[Subnet], daemon: str
) -> None:
    """
    Make the bridges of the configuration, if all of them can be had.

    @param daemon: tells this daemon from others of this host.
    """
    try:
        for subnet in subnets:
            overlap = bridges.overlap(subnet)
            if overlap is not None:
                raise Refused(
                    f"cidr: {subnet.cidr} of the network {subnet.name!r} overlaps with "
                    f"{overlap} of this host; configure another"
                )
        if config.security.anti_spoofing:
            try_guarding(daemon)
        for name, there in on_bridges(subnets).items():
            bridges.ensure(name, there)
    except (BridgeUnusable, NoFilters) as error:
        bridges.remove_empty()
        raise Refused(f"bridge: {error}") from None


def _prepare(depot: Depot) -> None:
    """
    Take the working directory.

    A child of an earlier daemon that is in a cgroup of this daemon's VMs is a container
    that was made and not started, or a command in a VM: nobody will start the one, or wait
    for the other.

    @raise Refused: if it cannot be taken.
    """
    key = f"work_dir: {depot.work_dir}"
    try:
        depot.prepare(may_end=partial(hierarchies.is_in, path=depot.cgroup_parent))
    except BlockingIOError:
        raise Refused(f"{key}: another runc-cpid uses it") from None
    except TimeoutError as error:
        reason = f"what another runc-cpid started is still at work: {error}"
        raise Refused(f"{key}: {reason}") from None
    except OSError as error:
        raise Refused(f"{key}: {error.strerror}; it must be writable") from None


def _container_policy(config: DaemonConfig, depot: Depot) -> ContainerPolicy:
    profile = config.security.profile
    privileged = profile == "privileged"
    # Without loop devices there is none.
    has_root_disks = config.disks.driver == "image"
    dropped = frozenset() if privileged else DROPPED_CAPABILITIES
    return ContainerPolicy(
        capabilities=capabilities.grantable(dropped),
        all_capabilities=capabilities.grantable(frozenset()),
        cgroup_parent=depot.cgroup_parent,
        pids=config.vms.pids if resource_limits.pids_accounting() else None,
        root_disk_size=config.vms.root_disk_size if has_root_disks else None,
        open_files=resource_limits.open_files(),
        swap_accounting=resource_limits.swap_accounting(),
        legacy_cgroups=not hierarchies.are_unified(),
        privileged=privileged,
        lxcfs=config.vms.lxcfs,
        own_ids=config.security.ids if profile == "isolated" else None,
    )
