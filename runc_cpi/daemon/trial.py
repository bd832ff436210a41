"""Whether this host can run VMs: a container like a VM's is made and removed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

from runc_cpi.daemon.host.cgroups import hierarchies
from runc_cpi.daemon.host.cgroups.devices import allowed_by, device_rules
from runc_cpi.daemon.host.namespaces import unshare_fs
from runc_cpi.daemon.host.oci.root_mounts import inside_namespace, namespace_with_root
from runc_cpi.daemon.host.oci.views import Views
from runc_cpi.daemon.host.processes import DIES_WITH_US, environment
from runc_cpi.daemon.host.requirements import HostUnfit
from runc_cpi.daemon.host.resource_limits import open_files
from runc_cpi.daemon.storage.bundle import Bundle
from runc_cpi.daemon.storage.depot import Depot
from runc_cpi.daemon.storage.drafts import new_draft
from runc_cpi.daemon.storage.ids import assign
from runc_cpi.daemon.vms.inits import Init
from runc_cpi.daemon.vms.spec.cgroup_path import vm_cgroup
from runc_cpi.daemon.vms.spec.document import limits, runtime_spec

PROGRAM = "init"
TIMEOUT = 30.0  # seconds, for each call of the runtime
DELETES = 10  # attempts
PAUSE = 0.1  # seconds between them


def try_runtime(
    runtime: str,
    depot: Depot,
    cgroup_parent: str,
    capabilities: Sequence[str],
    pids: int | None,
    own_ids: tuple[int, int] | None,
) -> None:
    """
    Make a container as VMs have them, and remove it unstarted: overlay, cgroups,
    namespaces and all.

    @param own_ids: the first and the last of the ids that VMs get, if they get their own.
    @raise HostUnfit: if this host, or the runtime on it, cannot do that.
    """
    bundle = Bundle(new_draft(depot.scratch))
    container_id = f"trial-{uuid4()}"
    cgroup = vm_cgroup(cgroup_parent, container_id)
    try:
        lower = bundle.path / "lower"
        for path in (lower, bundle.upper, bundle.work, bundle.rootfs):
            path.mkdir(mode=0o755)
        ids = None if own_ids is None else assign(bundle.path, *own_ids)
        if ids is not None:
            for path in (bundle.upper, bundle.work):
                os.chown(path, ids.first, ids.first)
        # The container is never started; its program must only be there.
        (lower / PROGRAM).touch(mode=0o755)
        spec = runtime_spec(
            hostname="trial",
            init=Init(argv=[f"/{PROGRAM}"]),
            binds={},
            cgroup=cgroup,
            capabilities=capabilities,
            open_files=open_files(),
            resources=limits(cpu=None, ram=None, pids=pids, swap_accounting=False),
            ids=ids,
            root="rootfs" if ids is None else str(bundle.isolated_root),
        )
        bundle.config.write_text(json.dumps(spec), "utf-8")
        try:
            device_rules().fence(cgroup, allowed_by(bundle))
        except OSError as error:
            raise HostUnfit(f"cannot bound devices of containers: {error}") from None
        _make_and_remove(
            [runtime, "--root", str(depot.runtime)],
            bundle,
            container_id,
            cgroup,
            depot.mark,
        )
    finally:
        hierarchies.remove(cgroup)
        hierarchies.remove_empty(cgroup_parent)
        shutil.rmtree(bundle.path)


def _make_and_remove(
    runtime: Sequence[str], bundle: Bundle, container_id: str, cgroup: str, mark: int
) -> None:
    """
    Make a container of C{bundle}, which has C{lower} in it, and remove it.

    @param runtime: the program and its own options.
    @param cgroup: its path in the cgroup hierarchies.
    @param mark: a descriptor that tells whether what was started has ended.
    @raise HostUnfit: if the runtime makes none.
    """
    create = [*runtime, "create", "--bundle", str(bundle.path)]
    create += ["--pid-file", str(bundle.pid_file), container_id]
    # Not a pipe: should the container stay, it would keep that open.
    with (bundle.path / "trial.log").open("w+b") as log, _with_root(create, bundle) as argv:
        made = _run(argv, log, mark)
        log.seek(0)
        lines = log.read().decode("utf-8", "replace").strip().splitlines()
    alive = made and _is_process(bundle.pid_file)
    with (bundle.path / "delete.log").open("wb") as log:
        for _ in range(DELETES):
            _run([*runtime, "delete", "--force", container_id], log, mark)
            hierarchies.remove(cgroup)
            if not hierarchies.directories(cgroup):
                break
            time.sleep(PAUSE)
    if not alive:
        reason = lines[-1] if lines else "it says nothing, and there is no container"
        raise HostUnfit(f"runtime: {runtime[0]} cannot make containers here: {reason}")


@contextmanager
def _with_root(argv: Sequence[str], bundle: Bundle) -> Iterator[Sequence[str]]:
    """
    Return the command line that runs a program which sees the root file system.

    @raise HostUnfit: if this host cannot mount it.
    """
    lower, views = bundle.path / "lower", Views()
    with ThreadPoolExecutor(1) as thread:  # which ends, as it must
        try:
            thread.submit(unshare_fs).result()
            mounting = thread.submit(namespace_with_root, bundle, lower, views)
            namespace = mounting.result()
        except OSError as error:
            need = "the kernel and the file system below work_dir must have overlays"
            if bundle.ids is not None:
                need = (
                    "security.profile: isolated needs user namespaces, and a kernel and a "
                    "file system below work_dir with idmapped mounts"
                )
            raise HostUnfit(f"{need}: {error}") from None
        finally:
            views.close()
    with inside_namespace(argv, namespace) as command:
        yield command


def _run(argv: Sequence[str], log: BinaryIO, mark: int) -> bool:
    try:
        done = subprocess.run(
            [*DIES_WITH_US, *argv],
            pass_fds=(mark,),
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            timeout=TIMEOUT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        log.write(str(error).encode())
        return False
    return done.returncode == 0


def _is_process(pid_file: Path) -> bool:
    try:
        return Path("/proc", pid_file.read_text("ascii").strip()).is_dir()
    except OSError:
        return False
