"""The host as it is: the drivers that do on Linux what the daemon's parts ask for."""

from __future__ import annotations

import os
from typing import Any

from runc_cpi.daemon.assembly import HostParts
from runc_cpi.daemon.config import DaemonConfig
from runc_cpi.daemon.disks.interfaces import IDiskDriver
from runc_cpi.daemon.host.cgroups import hierarchies
from runc_cpi.daemon.host.cgroups.devices import DeviceRules, device_rules
from runc_cpi.daemon.host.cgroups.oom_kills import oom_killer
from runc_cpi.daemon.host.disks.directory_disks import DirectoryDisks
from runc_cpi.daemon.host.disks.image_disks import ImageDisks
from runc_cpi.daemon.host.disks.loop import LoopDevices
from runc_cpi.daemon.host.disks.root_disks import RootDisks
from runc_cpi.daemon.host.dns.name_service import NameService
from runc_cpi.daemon.host.files.trees import Trees
from runc_cpi.daemon.host.guests.guests import Guests
from runc_cpi.daemon.host.images.archiver import Archiver
from runc_cpi.daemon.host.images.oci_images import OCIImages
from runc_cpi.daemon.host.meter import Meter
from runc_cpi.daemon.host.network.bridges import Bridges
from runc_cpi.daemon.host.network.firewall import Firewall
from runc_cpi.daemon.host.network.listeners import HostPorts
from runc_cpi.daemon.host.network.networker import BridgeNetworker
from runc_cpi.daemon.host.network.table import name_of
from runc_cpi.daemon.host.network.vip_addresses import VipAddresses
from runc_cpi.daemon.host.oci.console_trimmer import ConsoleTrimmer
from runc_cpi.daemon.host.oci.runtime import Runtime
from runc_cpi.daemon.host.processes import Processes
from runc_cpi.daemon.host.shared_mounts import SharedMounts
from runc_cpi.daemon.networks.peers import Peering
from runc_cpi.daemon.storage.depot import Depot


class LinuxHost:
    """
    All drivers, as the configuration wants them.

    @param depot: prepared already.
    @param bridges: what VMs are connected to.
    @param shared_mounts: the file systems that are kept writable until the end.
    @param peering: the other hosts whose VMs reach those of this one.
    @param runtime: the path of the OCI runtime.
    @param cgroup_parent: below which path the cgroups of VMs are.
    @ivar parts: what L{assemble<runc_cpi.daemon.assembly.assemble>} needs of the host.
    @ivar console_trimmer: the service that keeps the consoles of VMs short.
    """

    def __init__(
        self,
        reactor: Any,
        config: DaemonConfig,
        depot: Depot,
        bridges: Bridges,
        shared_mounts: SharedMounts,
        peering: Peering,
        *,
        runtime: str,
        cgroup_parent: str,
    ) -> None:
        limit = max(2, os.cpu_count() or 1)
        self._cgroup_parent = cgroup_parent
        self._shared_mounts = shared_mounts
        self._processes = Processes(reactor, limit, depot.mark)
        self._networker = BridgeNetworker(
            reactor,
            bridges,
            guarded=config.security.anti_spoofing,
            peering=peering,
        )
        self._firewall = Firewall(
            reactor,
            name_of(config.work_dir),
            self._processes,
            bridges.names,
            VipAddresses(bridges.daemon),
        )
        self._guests = Guests(reactor, config.visit_timeout)
        self.console_trimmer = ConsoleTrimmer(reactor, depot.vms)
        rules = device_rules()
        loops = LoopDevices(reactor, direct_io=config.disks.direct_io)
        has_loops = config.disks.driver == "image"
        self.parts = HostParts(
            runtime=Runtime(
                reactor,
                self._processes,
                runtime,
                depot.runtime,
                cgroup_parent,
                rules,
                self.console_trimmer,
                self._guests,
                timeout=config.runtime_timeout,
            ),
            networker=self._networker,
            names=NameService(reactor, enabled=config.dns_server),
            firewall=self._firewall,
            host_ports=HostPorts(),
            guests=self._guests,
            oom_killer=oom_killer(reactor),
            meter=Meter(),
            root_disks=RootDisks(self._processes, loops, self._guests, bounded=has_loops),
            disk_driver=self._disk_driver(config, rules, loops),
            trees=Trees(self._processes),
            archiver=Archiver(self._processes),
            images=OCIImages(self._processes),
        )

    def _disk_driver(
        self, config: DaemonConfig, rules: DeviceRules, loops: LoopDevices
    ) -> IDiskDriver:
        disks = config.disks
        if disks.driver == "directory":
            return DirectoryDisks(self._processes, self._guests)
        return ImageDisks(
            self._processes,
            loops,
            rules,
            self._guests,
            full=disks.allocation == "full",
            filesystem=disks.filesystem,
        )

    def start(self) -> None:
        """Start the threads that talk to the kernel about interfaces and forwarding."""
        self._networker.start()
        self._firewall.start()

    def programs_waiting(self) -> int:
        """Return how many programs wait to be started."""
        return self._processes.waiting()

    def break_off(self) -> None:
        """End child processes and visits to VMs; whoever waits for one sees it fail."""
        self._processes.end_all()
        self._guests.close()

    def stop(self) -> None:
        """Let go of the kernel, and remove the cgroup of the VMs if there are none."""
        self._networker.stop()
        self._firewall.stop()
        hierarchies.remove_empty(self._cgroup_parent)
        self._shared_mounts.release()
