"""The parts of the daemon, put together over fakes of the host."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Network
from typing import Any

from twisted.internet.task import Clock

from runc_cpi.daemon import assembly
from runc_cpi.daemon.assembly import HostParts, Policy
from runc_cpi.daemon.base.repairs import Repairs
from runc_cpi.daemon.disks.disks import DiskPolicy
from runc_cpi.daemon.events.history import HistoryPolicy
from runc_cpi.daemon.networks.model import Subnet
from runc_cpi.daemon.networks.peers import NO_PEERS
from runc_cpi.daemon.networks.vips import VipPolicy
from runc_cpi.daemon.storage.depot import Depot
from runc_cpi.daemon.vms.new_vm import NewVM
from runc_cpi.daemon.vms.spec.policy import ContainerPolicy
from tests.fakes.disks import FakeDriver
from tests.fakes.networks import (
    FakeFirewall,
    FakeHostPorts,
    FakeNameService,
    FakeNetworker,
)
from tests.fakes.script import Script
from tests.fakes.stemcells import FakeArchiver, FakeImages
from tests.fakes.storage import FakeTrees
from tests.fakes.vms import (
    FakeGuests,
    FakeMeter,
    FakeOOMKiller,
    FakeRootDisks,
    FakeRuntime,
)

NETWORK = IPv4Network("10.0.0.0/29")
GATEWAY = IPv4Address("10.0.0.1")
SUBNET = Subnet(cidr=NETWORK, gateway=GATEWAY, bridge="br0", dns=("192.0.2.53",))

NO_VIPS = VipPolicy()


@dataclass(frozen=True, kw_only=True)
class Assembly(assembly.Assembly):
    """The real parts, and the fakes that they act upon."""

    runtime: FakeRuntime
    guests: FakeGuests
    oom_killer: FakeOOMKiller
    meter: FakeMeter
    driver: FakeDriver
    images: FakeImages
    networker: FakeNetworker
    firewall: FakeFirewall
    host_ports: FakeHostPorts
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
    subnet: Subnet = SUBNET,
    root_disk_size: int | None = None,
    legacy_cgroups: bool = False,
    vips: VipPolicy = NO_VIPS,
) -> Assembly:
    """
    Put the parts together as the service does; nothing is loaded yet.

    @param script: of all fakes but that of the disk driver.
    """
    clock, runtime, guests = Clock(), FakeRuntime(script), FakeGuests(script)
    driver, images = FakeDriver(disk_script or Script()), FakeImages(script)
    networker, oom_killer = FakeNetworker(script), FakeOOMKiller()
    firewall, host_ports = FakeFirewall(script), FakeHostPorts()
    meter = FakeMeter()
    host = HostParts(
        runtime=runtime,
        networker=networker,
        names=FakeNameService(),
        firewall=firewall,
        host_ports=host_ports,
        guests=guests,
        oom_killer=oom_killer,
        meter=meter,
        root_disks=FakeRootDisks(script),
        disk_driver=driver,
        trees=FakeTrees(script),
        archiver=FakeArchiver(script),
        images=images,
    )
    policy = Policy(
        containers=ContainerPolicy(
            capabilities=[],
            all_capabilities=[],
            cgroup_parent="/c",
            pids=100,
            root_disk_size=root_disk_size,
            open_files=1024,
            swap_accounting=False,
            legacy_cgroups=legacy_cgroups,
            privileged=False,
        ),
        disks=DiskPolicy(filesystem="ext4", overcommit=overcommit),
        subnets=[subnet],
        allowed_networks=[IPv4Network("10.0.0.0/8"), IPv6Network("fc00::/7")],
        nat=True,
        vips=vips,
        peering=NO_PEERS,
        restart=restart,
        history=HistoryPolicy(size=1 << 20, followers=2),
    )
    return Assembly(
        **vars(assembly.assemble(clock, depot, host, policy)),
        runtime=runtime,
        guests=guests,
        oom_killer=oom_killer,
        meter=meter,
        driver=driver,
        images=images,
        networker=networker,
        firewall=firewall,
        host_ports=host_ports,
        clock=clock,
    )
