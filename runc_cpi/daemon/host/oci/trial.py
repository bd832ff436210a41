"""Whether this host can run VMs: a container just like a VM's, made and removed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from uuid import uuid4

from runc_cpi.daemon.host import checks
from runc_cpi.daemon.host.cgroups import hierarchies
from runc_cpi.daemon.host.cgroups.devices import allowed_by, device_rules
from runc_cpi.daemon.storage.bundle import Bundle
from runc_cpi.daemon.storage.depot import Depot
from runc_cpi.daemon.storage.drafts import new_draft
from runc_cpi.daemon.vms.inits import Init
from runc_cpi.daemon.vms.spec.cgroup_path import vm_cgroup
from runc_cpi.daemon.vms.spec.document import limits, runtime_spec

PROGRAM = "init"


def try_runtime(
    runtime: str,
    depot: Depot,
    cgroup_parent: str,
    capabilities: Sequence[str],
    pids: int | None,
) -> None:
    """
    Make and remove a container as VMs have them: overlay, cgroups, namespaces and all.

    @raise HostUnfit: if this host, or the runtime on it, cannot do that.
    """
    bundle = Bundle(new_draft(depot.scratch))
    container_id = f"trial-{uuid4()}"
    cgroup = vm_cgroup(cgroup_parent, container_id)
    try:
        lower = bundle.path / "lower"
        for path in (lower, bundle.upper, bundle.work, bundle.rootfs):
            path.mkdir(mode=0o755)
        # The container is never started; its program must only be there.
        (lower / PROGRAM).touch(mode=0o755)
        spec = runtime_spec(
            hostname="trial",
            init=Init(argv=[f"/{PROGRAM}"]),
            binds={},
            cgroup=cgroup,
            capabilities=capabilities,
            open_files=checks.open_files(),
            resources=limits(cpu=None, ram=None, pids=pids, swap_accounting=False),
        )
        bundle.config.write_text(json.dumps(spec), "utf-8")
        try:
            device_rules().fence(cgroup, allowed_by(bundle))
        except OSError as error:
            raise checks.HostUnfit(f"cannot bound devices of containers: {error}") from None
        checks.try_runtime(runtime, depot.runtime, bundle, container_id, cgroup, depot.mark)
    finally:
        hierarchies.remove(cgroup)
        hierarchies.remove_empty(cgroup_parent)
        shutil.rmtree(bundle.path)
