"""The domain put together over fakes of the host."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from twisted.internet.task import Clock

from runc_cpi.daemon.base.repairs import Repairs
from runc_cpi.daemon.disks.disks import DiskPolicy, Disks
from runc_cpi.daemon.disks.snapshots import Snapshots
from runc_cpi.daemon.networks.address_pools import AddressPools
from runc_cpi.daemon.networks.model import Subnet
from runc_cpi.daemon.reconcile.reconciler import Reconciler
from runc_cpi.daemon.stemcells.stemcells import Stemcells
from runc_cpi.daemon.storage.depot import Depot
from runc_cpi.daemon.storage.scratch import Scratch
from runc_cpi.daemon.vms.containers import Containers
from runc_cpi.daemon.vms.new_vm import NewVM
from runc_cpi.daemon.vms.registry import Registry
from runc_cpi.daemon.vms.spec.policy import ContainerPolicy
from runc_cpi.daemon.vms.vms import VMs
from runc_cpi.daemon.vms.watcher import Watcher
from tests.fakes.disks import FakeDriver
from tests.fakes.networks import FakeNetworker
from tests.fakes.script import Script
from tests.fakes.stemcells import FakeArchiver, FakeImages
from tests.fakes.storage import FakeTrees
from tests.fakes.vms import FakeGuests, FakeRuntime

NETWORK = IPv4Network("10.0.0.0/29")
GATEWAY = IPv4Address("10.0.0.1")
SUBNET = Subnet(cidr=NETWORK, gateway=GATEWAY, bridge="br0", dns=["192.0.2.53"])


@dataclass(frozen=True, kw_only=True)
class Assembly:
    """A real domain over a host that is made up; disks have a script of their own."""

    runtime: FakeRuntime
    guests: FakeGuests
    driver: FakeDriver
    images: FakeImages
    pools: AddressPools
    stemcells: Stemcells
    containers: Containers
    disks: Disks
    snapshots: Snapshots
    vms: VMs
    reconciler: Reconciler
    networker: FakeNetworker
    clock: Clock

    async def load(self) -> Repairs:
        """Begin as the daemon does."""
        return await self.reconciler.load()


def new_vm(stemcell_cid: str, **changes: Any) -> NewVM:
    """Return arguments of create_vm, with changes."""
    values: dict[str, Any] = {
        "agent_id": "agent-1",
        "stemcell_cid": stemcell_cid,
        "cloud_properties": {},
        "networks": {"n": {"type": "dynamic", "cloud_properties": {}}},
        "disk_cids": [],
        "env": {},
        "agent": {},
    }
    return NewVM.parse(**{**values, **changes})


def assemble(
    script: Script,
    depot: Depot,
    disk_script: Script | None = None,
    *,
    overcommit: float = 1.0,
    restart: bool = False,
) -> Assembly:
    """Put a domain together; nothing is loaded yet."""
    archiver, images = FakeArchiver(script), FakeImages(script)
    trees = FakeTrees(script)
    scratch = Scratch(depot, trees)
    stemcells = Stemcells(depot, archiver, images, scratch)
    driver = FakeDriver(disk_script or Script())
    policy = DiskPolicy(filesystem="ext4", overcommit=overcommit)
    disks = Disks(depot=depot, scratch=scratch, driver=driver, policy=policy)
    snapshots = Snapshots(
        depot=depot, trees=trees, scratch=scratch, driver=driver, disks=disks
    )
    runtime, guests = FakeRuntime(script), FakeGuests(script)
    pools, networker = AddressPools([SUBNET]), FakeNetworker(script)
    registry, watcher, clock = Registry(depot, stemcells, pools), Watcher(), Clock()
    containers = Containers(
        policy=ContainerPolicy(
            capabilities=[],
            cgroup_parent="/c",
            pids=100,
            open_files=1024,
            swap_accounting=False,
            privileged=False,
            all_capabilities=[],
        ),
        depot=depot,
        runtime=runtime,
        networker=networker,
        guests=guests,
        disks=disks,
        watcher=watcher,
    )
    vms = VMs(
        registry=registry,
        stemcells=stemcells,
        containers=containers,
        disks=disks,
        pools=pools,
        scratch=scratch,
    )
    reconciler = Reconciler(
        reactor=clock,
        registry=registry,
        stemcells=stemcells,
        containers=containers,
        disks=disks,
        snapshots=snapshots,
        vms=vms,
        scratch=scratch,
        watcher=watcher,
        restart=restart,
    )
    return Assembly(
        runtime=runtime,
        guests=guests,
        driver=driver,
        images=images,
        pools=pools,
        stemcells=stemcells,
        containers=containers,
        disks=disks,
        snapshots=snapshots,
        vms=vms,
        reconciler=reconciler,
        networker=networker,
        clock=clock,
    )
