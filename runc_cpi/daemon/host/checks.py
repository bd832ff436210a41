"""What this host is able to do, found out before the daemon serves."""

from __future__ import annotations

import os
import re
import resource
import shutil
import subprocess
import time
from collections.abc import Sequence
from ipaddress import IPv4Address
from pathlib import Path
from typing import BinaryIO

from runc_cpi.daemon.host.cgroups import hierarchies
from runc_cpi.daemon.host.disks.filesystems import FILESYSTEMS
from runc_cpi.daemon.host.oci.overlay import inside_overlay
from runc_cpi.daemon.host.processes import DIES_WITH_US
from runc_cpi.daemon.storage.bundle import Bundle

REQUIRED = ("tar", "rm", "sync", "cp", "sh", "mount", "umount", "unshare", "setpriv")
# In the order of their numbers (linux/capability.h).
_NAMES = """
    CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP
    LINUX_IMMUTABLE NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER
    SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE
    SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP
    MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF
    CHECKPOINT_RESTORE
"""
CAPABILITIES = tuple(f"CAP_{name}" for name in _NAMES.split())
RESOLV_CONFS = ("/etc/resolv.conf", "/run/systemd/resolve/resolv.conf")
TRIAL_TIMEOUT = 30.0
TRIAL_DELETES = 10
TRIAL_PAUSE = 0.1


class HostUnfit(Exception):
    """This host lacks something; the message says what."""


def own_capabilities(status: str) -> set[str]:
    """
    Return the capabilities that may be passed on.

    @param status: the content of C{/proc/self/status} (proc(5)).
    """
    masks = [
        int(found, 16) for found in re.findall(r"^Cap(?:Prm|Bnd):\s*(\w+)$", status, re.M)
    ]
    both = masks[0] & masks[1]
    return {name for bit, name in enumerate(CAPABILITIES) if both >> bit & 1}


def grantable(dropped: frozenset[str]) -> list[str]:
    """
    Return what VMs may be granted: all that the daemon has, less C{dropped}.

    A runtime refuses a container that is to have more than its creator.
    """
    own = own_capabilities(Path("/proc/self/status").read_text("ascii"))
    return [name for name in CAPABILITIES if name in own and name not in dropped]


def raise_open_files() -> None:
    """Let this process have as many open files as it may: connections are files too."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def open_files() -> int:
    """Return how many open files a process may be granted: as many as the daemon's own."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[1]


def swap_accounting() -> bool:
    """Say whether the kernel can bound memory and swap together."""
    v1 = Path("/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes")
    # On v2 the root has no such file, but every cgroup below it does, or none.
    v2 = Path("/sys/fs/cgroup").glob("*/memory.swap.max")
    return v1.exists() or any(v2)


def pids_accounting(root: Path = Path("/sys/fs/cgroup")) -> bool:
    """Say whether the kernel can bound how many processes a VM has."""
    try:
        controllers = (root / "cgroup.controllers").read_text("ascii").split()
    except FileNotFoundError:
        controllers = []
    return (root / "pids").is_dir() or "pids" in controllers


def name_servers(paths: Sequence[str] = RESOLV_CONFS) -> list[str]:
    """
    Return the host's name servers that a VM could reach.

    One on loopback serves the host alone; systemd-resolved lists what is behind it in
    a file of its own.
    """
    for path in paths:
        try:
            lines = Path(path).read_text("utf-8", "replace").splitlines()
        except OSError:
            continue
        servers = [
            fields[1]
            for fields in map(str.split, lines)
            if len(fields) > 1 and fields[0] == "nameserver" and _reachable(fields[1])
        ]
        if servers:
            return servers
    return []


def _reachable(server: str) -> bool:
    try:
        return not IPv4Address(server).is_loopback
    except ValueError:
        return False


def check_root() -> None:
    """
    @raise HostUnfit: if this is not root.
    """
    if os.geteuid() != 0:
        raise HostUnfit("must run as root: containers, mounts and interfaces need it")


def check_programs() -> None:
    """
    @raise HostUnfit: if a program is missing.
    """
    for program in REQUIRED:
        if shutil.which(program) is None:
            raise HostUnfit(f"{program} is not on the PATH; install it")


def check_loop_devices(filesystem: str) -> None:
    """
    @raise HostUnfit: if disks cannot be made of files here.
    """
    way_out = "; disks.driver: directory does without, and without sizes"
    if not Path("/dev/loop-control").exists():
        raise HostUnfit(f"disks.driver: image needs loop devices, not to be had{way_out}")
    for program in FILESYSTEMS[filesystem].programs:
        if shutil.which(program) is None:
            raise HostUnfit(
                f"disks.driver: image needs {program}, which is not on the PATH{way_out}"
            )


def find_runtime(name: str) -> str:
    """
    Return the path of the OCI runtime C{name}.

    @raise HostUnfit: if there is no such program.
    """
    path = shutil.which(name)
    if path is None:
        raise HostUnfit(
            f"runtime: {name} is not on the PATH; name an OCI runtime such as runc, or "
            "its path"
        )
    return path


def try_runtime(
    program: str, root: Path, bundle: Bundle, container_id: str, cgroup: str, mark: int
) -> None:
    """
    Make a container of C{bundle}, which has C{lower} in it, and remove it unstarted.

    @param cgroup: its path in the cgroup hierarchies.
    @param mark: a descriptor that tells whether what was started has ended.
    @raise HostUnfit: if the runtime cannot do that on this host.
    """
    base = [program, "--root", str(root)]
    create = [*base, "create", "--bundle", str(bundle.path)]
    create += ["--pid-file", str(bundle.pid_file), container_id]
    # Not a pipe: should the container stay, it would keep that open.
    with (bundle.path / "trial.log").open("w+b") as log:
        argv = inside_overlay(create, bundle, bundle.path / "lower")
        made = _run(argv, log, mark)
        log.seek(0)
        lines = log.read().decode("utf-8", "replace").strip().splitlines()
    alive = made and _is_process(bundle.pid_file)
    with (bundle.path / "delete.log").open("wb") as log:
        for _ in range(TRIAL_DELETES):
            _run([*base, "delete", "--force", container_id], log, mark)
            hierarchies.remove(cgroup)
            if not hierarchies.directories(cgroup):
                break
            time.sleep(TRIAL_PAUSE)
    if not alive:
        reason = lines[-1] if lines else "it says nothing, and there is no container"
        raise HostUnfit(f"runtime: {program} cannot make containers here: {reason}")


def _run(argv: Sequence[str], log: BinaryIO, mark: int) -> bool:
    try:
        done = subprocess.run(
            [*DIES_WITH_US, *argv],
            pass_fds=(mark,),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            timeout=TRIAL_TIMEOUT,
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
