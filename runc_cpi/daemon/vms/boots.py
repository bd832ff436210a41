"""How VMs boot: what they boot with, and the container that waits until all is there."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from twisted.internet.threads import deferToThread

from runc_cpi.daemon.base.calls import span, spanned
from runc_cpi.daemon.disks.disk import BootParts
from runc_cpi.daemon.disks.disks import Disks
from runc_cpi.daemon.networks.forwarding import Forwarding
from runc_cpi.daemon.networks.interfaces import INetworker
from runc_cpi.daemon.stemcells.stemcell import Stemcell
from runc_cpi.daemon.storage.bundle import Bundle
from runc_cpi.daemon.storage.container import ContainerState
from runc_cpi.daemon.storage.depot import Depot
from runc_cpi.daemon.vms.files import furnishing
from runc_cpi.daemon.vms.files.last_run import LastRun, look_back
from runc_cpi.daemon.vms.inits import Init, init_of
from runc_cpi.daemon.vms.interfaces import IGuests, IRootDisks, IRuntime
from runc_cpi.daemon.vms.lxcfs import Lxcfs
from runc_cpi.daemon.vms.properties import VMProperties
from runc_cpi.daemon.vms.spec.policy import ContainerPolicy
from runc_cpi.daemon.vms.vm import VM

# What a machine has in memory, and loses when it boots.
STALE = "var/vcap/data/sys"
PID_FILES = "run"


@dataclass(frozen=True, kw_only=True)
class Made:
    """
    A container that was made, and waits to be started.

    @ivar pid: its first process.
    @ivar last: what is left of the VM's last run.
    """

    pid: int
    last: LastRun


class Boots:
    """
    Boots VMs.  The caller holds the lock of the VM that a call is for.

    @param find: returns the container of a VM as it is now.
    """

    def __init__(
        self,
        *,
        policy: ContainerPolicy,
        depot: Depot,
        runtime: IRuntime,
        networker: INetworker,
        forwarding: Forwarding,
        guests: IGuests,
        root_disks: IRootDisks,
        disks: Disks,
        find: Callable[[str], ContainerState],
    ) -> None:
        self._policy, self._depot, self._runtime = policy, depot, runtime
        self._networker, self._forwarding = networker, forwarding
        self._guests, self._root_disks, self._disks = guests, root_disks, disks
        self._lxcfs, self._find = Lxcfs(guests, policy.lxcfs), find

    async def look_for_lxcfs(self) -> None:
        """Say in the log whether there is lxcfs."""
        await self._lxcfs.covers()

    def _bundle(self, vm_cid: str) -> Bundle:
        return Bundle(self._depot.vms / vm_cid)

    def init_of(self, stemcell: Stemcell, properties: VMProperties) -> Init:
        """
        Return what boots a VM.

        @raise InvalidArgument: if nothing in the stemcell can boot it here.
        """
        legacy = self._policy.legacy_cgroups
        return init_of(stemcell, properties.init, legacy_cgroups=legacy)

    @spanned("files")
    async def furnish(self, vm: VM, stemcell: Stemcell) -> Sequence[str]:
        """
        Make the directory of a new VM, and the files it boots with, whose names it returns.

        @raise NoDiskSpace: if there is no room for its root disk or its ephemeral disk.
        @raise CloudError: if the host fails otherwise.
        @raise OSError: if a file cannot be written.
        """
        self._runtime.anticipate()
        bundle, own_ids = self._bundle(vm.vm_cid), self._policy.own_ids
        binds = self._disks.agent_binds or own_ids is not None
        await deferToThread(furnishing.make_directory, bundle, own_ids=own_ids)
        root_size = vm.properties.root_disk_size or self._policy.root_disk_size
        if root_size is not None:
            await self._root_disks.make(bundle, root_size)
        furnish = partial(furnishing.furnish, bundle, vm, stemcell, agent_binds=binds)
        furnished = await deferToThread(furnish)
        size = vm.properties.ephemeral_disk_size
        if size is not None:
            await self._disks.make_ephemeral(bundle.path, size)
        return furnished

    async def make(self, vm: VM, stemcell: Stemcell) -> Made:
        """
        Make the container of a VM that does not run.

        @raise CloudError: if the host fails.
        """
        vm_cid, bundle = vm.vm_cid, self._bundle(vm.vm_cid)
        last = await self._look_back(bundle, stemcell)
        disks = await self._disks.boot(vm_cid, self._find(vm_cid))
        hostname = last.hostname or vm_cid
        covers = await self._lxcfs.covers()
        with span("specification"):
            await deferToThread(self._write_config, vm, stemcell, hostname, disks, covers)
        with span("container"):
            pid = await self._runtime.create(bundle, stemcell.rootfs)
        return Made(pid=pid, last=last)

    @spanned("last run")
    async def _look_back(self, bundle: Bundle, stemcell: Stemcell) -> LastRun:
        disk_cids = {disk.disk_cid for disk in self._disks.of(bundle.vm_cid)}
        looking = partial(
            look_back, stemcell.rootfs, bundle.upper, disk_cids, bundle.root_id
        )
        return await self._guests.run(bundle.vm_cid, looking)

    def _write_config(
        self,
        vm: VM,
        stemcell: Stemcell,
        hostname: str,
        disks: BootParts,
        covers: Mapping[str, str],
    ) -> None:
        bundle = self._bundle(vm.vm_cid)
        properties = vm.properties
        init = self.init_of(stemcell, properties)
        spec = self._policy.specification(bundle, properties, init, hostname, disks, covers)
        bundle.config.write_text(json.dumps(spec), "utf-8")

    async def start(self, vm: VM, made: Made) -> None:
        """
        Give a container its network and its disks, and have its first process run.

        @raise CloudError: if the host fails.
        """
        vm_cid, bundle = vm.vm_cid, self._bundle(vm.vm_cid)
        await self._networker.connect(vm_cid, made.pid, vm.nics)
        await self._forwarding.connected(vm_cid)
        await self._disks.booted(vm_cid, self._find(vm_cid), made.last.mounted)
        writable = self._policy.writable_paths(bundle)
        await self._guests.prepare(vm_cid, made.pid, STALE, PID_FILES, writable)
        await self._runtime.start(bundle)
