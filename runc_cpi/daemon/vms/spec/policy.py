"""What the VMs of this host may have, and the specification that makes a VM keep to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runc_cpi.daemon.disks.disk import BootParts
from runc_cpi.daemon.storage.bundle import Bundle
from runc_cpi.daemon.vms.inits import Init
from runc_cpi.daemon.vms.properties import VMProperties
from runc_cpi.daemon.vms.spec.cgroup_path import vm_cgroup
from runc_cpi.daemon.vms.spec.confinement import WRITABLE_PATHS
from runc_cpi.daemon.vms.spec.document import limits, runtime_spec

DATA = "/var/vcap/data"


@dataclass(frozen=True, kw_only=True)
class ContainerPolicy:
    """
    What the VMs of this host may have.

    @ivar capabilities: what is granted to each.
    @ivar all_capabilities: what is granted to those that are to have all.
    @ivar cgroup_parent: below which path their cgroups are.
    @ivar privileged: whether the host's kernel tunables are theirs to change.
    @ivar own_ids: the first and the last of the ids of which each new VM gets its own; or
        L{None} if the users of new VMs have the host's ids.
    @ivar lxcfs: where lxcfs is mounted, or L{None} to do without.
    @ivar pids: how many processes and threads each may have that does not say; L{None}
        if the kernel bounds none.
    @ivar root_disk_size: MiB that each may change on /, that does not say; L{None} for no
        bound.
    @ivar open_files: how many files each process of a VM may have open.
    @ivar swap_accounting: whether memory and swap can be bounded together.
    @ivar legacy_cgroups: whether the host has cgroup v1.
    """

    capabilities: Sequence[str]
    all_capabilities: Sequence[str]
    cgroup_parent: str
    pids: int | None
    root_disk_size: int | None
    open_files: int
    swap_accounting: bool
    legacy_cgroups: bool
    privileged: bool
    lxcfs: Path | None = None
    own_ids: tuple[int, int] | None = None

    def cgroup_of(self, vm_cid: str) -> str:
        """Return the path of a VM's cgroup."""
        return vm_cgroup(self.cgroup_parent, vm_cid)

    def _is_privileged(self, bundle: Bundle) -> bool:
        """Say whether a VM may do all that the daemon may; one with own ids never does."""
        return self.privileged and bundle.ids is None

    def writable_paths(self, bundle: Bundle) -> Sequence[str]:
        """Return the kernel tunables of a VM's own that must be made writable for it."""
        return () if self._is_privileged(bundle) else WRITABLE_PATHS

    def specification(
        self,
        bundle: Bundle,
        properties: VMProperties,
        init: Init,
        hostname: str,
        disks: BootParts,
        covers: Mapping[str, str],
    ) -> dict[str, Any]:
        """
        Return the OCI runtime specification of a VM's container.

        @param hostname: the name that the VM has from its first moment.
        @param disks: the mounts, device nodes and device rules of the VM's disks.
        @param covers: what of the host stands for files of the VM's /proc and /sys.
        """
        every, privileged = properties.all_capabilities, self._is_privileged(bundle)
        own = bundle.ids
        has_ephemeral_disk = any(mount["destination"] == DATA for mount in disks.mounts)
        if own is not None:
            # It is mounted when the VM is there.
            has_ephemeral_disk = bundle.ephemeral.exists()
        return runtime_spec(
            hostname=hostname,
            init=init,
            binds={} if has_ephemeral_disk else {DATA: str(bundle.data)},
            cgroup=self.cgroup_of(bundle.vm_cid),
            capabilities=self.all_capabilities if every else self.capabilities,
            resources=limits(
                cpu=properties.cpu,
                ram=properties.ram,
                pids=self.pids and (properties.pids or self.pids),
                swap_accounting=self.swap_accounting,
            ),
            open_files=self.open_files,
            disks=disks,
            covers=covers,
            privileged=privileged,
            guarded=every and not privileged,
            ids=own,
            root="rootfs" if own is None else str(bundle.isolated_root),
        )
