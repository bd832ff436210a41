"""A reboot of the host, as far as one daemon can tell."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from contextlib import suppress
from functools import partial
from pathlib import Path

from runc_cpi.daemon.host.network import libnftables, sysctls, table
from tests.harness import leaks, netns
from tests.harness.daemon import Daemon
from tests.harness.waiting import eventually


def reboot_host(daemon: Daemon) -> None:
    """
    Take away all that the kernel and the runtime know, and keep what is on the disk.

    The daemon is killed, and not started again.
    """
    if daemon.is_running:
        daemon.kill()
    daemon.process = None
    lose_all_but_the_disk(daemon.work_dir, daemon.cgroup)


def lose_all_but_the_disk(work_dir: Path, cgroup: str) -> None:
    """
    Take away what a reboot takes of a daemon that was killed.

    @param work_dir: the daemon's. @param cgroup: the name of its cgroup.
    """
    _kill_containers(cgroup)
    for line in sorted(_mounts(work_dir), key=len, reverse=True):
        subprocess.run(["umount", "--lazy", line], check=True)
    for path in Path("/sys/block").glob("loop*/loop/backing_file"):
        with suppress(OSError):
            if path.read_text("utf-8").startswith(str(work_dir)):
                # It may go by itself meanwhile.
                subprocess.run(
                    ["losetup", "--detach", f"/dev/{path.parts[3]}"], check=False
                )
    shutil.rmtree(work_dir / "runtime")
    # A new boot has a new id.
    (work_dir / "boot_id").unlink()
    for bridge in netns.bridges_of(cgroup):
        subprocess.run(["ip", "link", "delete", bridge], check=True)
    libnftables.run(table.removal(table.name_of(work_dir)))
    sysctls.set_forwarding(4, on=bool(leaks.rules()))
    sysctls.set_forwarding(6, on=False)
    eventually(lambda: not _interfaces(), "the VMs' interfaces go with them")


def _kill_containers(cgroup: str) -> None:
    tops = [path for path in leaks.CGROUPS.glob(f"*/{cgroup}") if path.is_dir()]
    tops += [path for path in [leaks.CGROUPS / cgroup] if path.is_dir()]

    def alive() -> bool:
        found = False
        for top in tops:
            for directory, _, _ in os.walk(top):
                with suppress(OSError):
                    for pid in Path(directory, "cgroup.procs").read_text().split():
                        found = True
                        with suppress(ProcessLookupError):
                            os.kill(int(pid), signal.SIGKILL)
        return found

    eventually(lambda: not alive(), "no process of a VM is left", 30)
    for top in tops:
        for directory, _, _ in os.walk(top, topdown=False):
            path = Path(directory)
            eventually(partial(_removed, path), f"{path} is gone")


def _removed(path: Path) -> bool:
    with suppress(OSError):
        path.rmdir()
    return not path.exists()


def _mounts(work_dir: Path) -> list[str]:
    lines = Path("/proc/self/mountinfo").read_text("utf-8").splitlines()
    points = [line.split()[4] for line in lines]
    return [point for point in points if point.startswith(str(work_dir))]


def _interfaces() -> set[str]:
    return {name for name in netns.links() if name.startswith("v")}
