"""Puts the parts of the daemon together, over whatever host they are given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from runc_cpi.daemon.base.locks import Locks
from runc_cpi.daemon.base.places import PlaceOf
from runc_cpi.daemon.base.tasks import TaskGroup
from runc_cpi.daemon.disks.disks import DiskPolicy, Disks
from runc_cpi.daemon.disks.interfaces import IDiskDriver
from runc_cpi.daemon.disks.snapshots import Snapshots
from runc_cpi.daemon.events.history import History, HistoryPolicy
from runc_cpi.daemon.networks.address_pools import AddressPools
from runc_cpi.daemon.networks.forwarding import Forwarding
from runc_cpi.daemon.networks.interfaces import (
    IFirewall,
    IHostPorts,
    INameService,
    INetworker,
)
from runc_cpi.daemon.networks.managed import ManagedNetworks
from runc_cpi.daemon.networks.model import IPNetwork, Subnet
from runc_cpi.daemon.networks.networks import Networks
from runc_cpi.daemon.networks.peers import Peering
from runc_cpi.daemon.networks.vips import VipPolicy, Vips
from runc_cpi.daemon.networks.ways import WaysToBlocks, WaysToPeers
from runc_cpi.daemon.reconcile.agreement import Agreement
from runc_cpi.daemon.reconcile.down_vms import DownVMs
from runc_cpi.daemon.reconcile.leftovers import Leftovers
from runc_cpi.daemon.reconcile.reconciler import Reconciler
from runc_cpi.daemon.reconcile.restarts import Restarts
from runc_cpi.daemon.rpc.subjects import Subjects
from runc_cpi.daemon.stemcells.interfaces import IArchiver, IImages
from runc_cpi.daemon.stemcells.stemcells import Stemcells
from runc_cpi.daemon.storage.depot import Depot
from runc_cpi.daemon.storage.interfaces import ITrees
from runc_cpi.daemon.storage.reaper import Reaper
from runc_cpi.daemon.storage.scratch import Scratch
from runc_cpi.daemon.vms.containers import Containers
from runc_cpi.daemon.vms.interfaces import (
    IGuests,
    IMeter,
    IOOMKiller,
    IRootDisks,
    IRuntime,
)
from runc_cpi.daemon.vms.oom_kills import OOMKills
from runc_cpi.daemon.vms.places import Places
from runc_cpi.daemon.vms.power import Power
from runc_cpi.daemon.vms.registry import Registry
from runc_cpi.daemon.vms.spec.policy import ContainerPolicy
from runc_cpi.daemon.vms.usages import Usages
from runc_cpi.daemon.vms.vms import VMs
from runc_cpi.daemon.vms.watcher import Watcher


@dataclass(frozen=True, kw_only=True)
class HostParts:
    """What the parts ask of the host, each behind its interface."""

    runtime: IRuntime
    networker: INetworker
    names: INameService
    firewall: IFirewall
    host_ports: IHostPorts
    guests: IGuests
    oom_killer: IOOMKiller
    meter: IMeter
    root_disks: IRootDisks
    disk_driver: IDiskDriver
    trees: ITrees
    archiver: IArchiver
    images: IImages


@dataclass(frozen=True, kw_only=True)
class Policy:
    """
    What the operator decided, and the host allows.

    @ivar subnets: those that are always there, at least one.
    @ivar allowed_networks: where others may be, which VMs describe.
    @ivar nat: whether VMs leave those of IPv4 by the host's addresses.
    @ivar vips: which addresses of the host VMs can have.
    @ivar peering: the other hosts whose VMs reach those of this one.
    @ivar restart: whether to boot a VM again that ended by itself and failed.
    """

    containers: ContainerPolicy
    disks: DiskPolicy
    subnets: Sequence[Subnet]
    allowed_networks: Sequence[IPNetwork]
    nat: bool
    vips: VipPolicy
    peering: Peering
    restart: bool
    history: HistoryPolicy


@dataclass(frozen=True, kw_only=True)
class Assembly:
    """
    The parts, put together.  Nothing is loaded yet: see L{Reconciler.load}.

    @ivar tasks: what goes on in the background.  Whoever stops the daemon stops them.
    @ivar place_of: tells where VMs and disks belong.
    """

    locks: Locks
    tasks: TaskGroup
    pools: AddressPools
    networks: ManagedNetworks
    reaper: Reaper
    stemcells: Stemcells
    disks: Disks
    snapshots: Snapshots
    containers: Containers
    vms: VMs
    power: Power
    usages: Usages
    watcher: Watcher
    oom_kills: OOMKills
    leftovers: Leftovers
    reconciler: Reconciler
    history: History
    place_of: PlaceOf
    trees: ITrees

    @property
    def subjects(self) -> Subjects:
        """What calls can be about."""
        return Subjects(
            stemcells=self.stemcells,
            vms=self.vms,
            power=self.power,
            usages=self.usages,
            disks=self.disks,
            snapshots=self.snapshots,
            networks=self.networks,
            reconciler=self.reconciler,
            history=self.history,
        )


def assemble(reactor: Any, depot: Depot, host: HostParts, policy: Policy) -> Assembly:
    """
    Put the parts together.

    @param reactor: provides C{IReactorTime} and C{IReactorFromThreads}.
    @param depot: prepared already.
    """
    locks, tasks = Locks(), TaskGroup(reactor)
    reaper = Reaper(reactor, tasks)
    scratch = Scratch(reactor, depot, host.trees, reaper)
    stemcells = Stemcells(depot, host.archiver, host.images, scratch)
    disks = Disks(
        depot=depot,
        scratch=scratch,
        reaper=reaper,
        driver=host.disk_driver,
        policy=policy.disks,
        locks=locks,
    )
    snapshots = Snapshots(
        depot=depot,
        scratch=scratch,
        driver=host.disk_driver,
        disks=disks,
    )
    pools, watcher = AddressPools(policy.subnets, nat=policy.nat), Watcher(tasks)
    networks = Networks(
        pools,
        host.networker,
        host.names,
        policy.allowed_networks,
        policy.peering.peers,
        policy.vips.allowed,
    )
    vips, ways = Vips(pools, policy.vips), WaysToPeers(host.networker, policy.peering)
    forwarding = Forwarding(
        pools, host.firewall, host.host_ports, vips, ways, WaysToBlocks(host.networker)
    )
    managed_networks = ManagedNetworks(
        depot=depot,
        scratch=scratch,
        pools=pools,
        networks=networks,
        forwarding=forwarding,
        nat=policy.nat,
    )
    registry = Registry(depot, stemcells, pools, forwarding, host.root_disks)
    oom_kills = OOMKills(
        reactor=reactor,
        tasks=tasks,
        killer=host.oom_killer,
        cgroup_of=policy.containers.cgroup_of,
        name_of=registry.described,
    )
    containers = Containers(
        policy=policy.containers,
        depot=depot,
        runtime=host.runtime,
        networker=host.networker,
        forwarding=forwarding,
        guests=host.guests,
        root_disks=host.root_disks,
        disks=disks,
        watcher=watcher,
        oom_kills=oom_kills,
    )
    vms = VMs(
        registry=registry,
        stemcells=stemcells,
        containers=containers,
        disks=disks,
        networks=networks,
        forwarding=forwarding,
        scratch=scratch,
        locks=locks,
        oom_kills=oom_kills,
    )
    down_vms = DownVMs(
        registry=registry,
        containers=containers,
        vms=vms,
        locks=locks,
        tasks=tasks,
        restart=policy.restart,
    )
    watcher.ended = Restarts(
        reactor=reactor,
        registry=registry,
        down_vms=down_vms,
        tasks=tasks,
        restart=policy.restart,
    ).vm_ended
    leftovers = Leftovers(
        reactor=reactor,
        registry=registry,
        containers=containers,
        vms=vms,
        networks=networks,
        scratch=scratch,
        forwarding=forwarding,
        locks=locks,
        tasks=tasks,
    )
    reconciler = Reconciler(
        registry=registry,
        stemcells=stemcells,
        disks=disks,
        snapshots=snapshots,
        managed_networks=managed_networks,
        networks=networks,
        scratch=scratch,
        locks=locks,
        agreement=Agreement(
            registry=registry, containers=containers, disks=disks, locks=locks
        ),
        down_vms=down_vms,
        leftovers=leftovers,
        forwarding=forwarding,
    )
    place_of = Places(registry, disks).of
    history = History.of(reactor, tasks, depot.events, policy.history, place_of)
    return Assembly(
        locks=locks,
        tasks=tasks,
        pools=pools,
        networks=managed_networks,
        reaper=reaper,
        stemcells=stemcells,
        disks=disks,
        snapshots=snapshots,
        containers=containers,
        vms=vms,
        power=Power(
            registry=registry,
            stemcells=stemcells,
            containers=containers,
            vms=vms,
            locks=locks,
        ),
        usages=Usages(depot, watcher, policy.containers.cgroup_of, host.meter),
        watcher=watcher,
        oom_kills=oom_kills,
        leftovers=leftovers,
        reconciler=reconciler,
        history=history,
        place_of=place_of,
        trees=host.trees,
    )
