"""The search for leftovers finds them; every other test relies on that."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.harness import leaks, trees
from tests.harness.daemon import Daemon
from tests.harness.waiting import eventually

PARTS = {
    *("link", "cgroup", "process", "file", "mount", "loop device"),
    *("rules", "sysctl"),
}


def test_finds_all_of_a_vm(daemon: Daemon, tiny: Path) -> None:
    """While a VM exists, each kind of its traces is found; after its deletion none is."""
    stemcell = daemon.create_stemcell(tiny)
    before = leaks.find(daemon.home.parent, [daemon.cgroup])
    vm = daemon.create_vm(stemcell)
    more = leaks.find(daemon.home.parent, [daemon.cgroup]) - before
    assert {trace.kind for trace in more} == PARTS
    assert any(vm.cid in trace.name for trace in more if trace.kind == "cgroup")
    assert any(trace.name.startswith(f"{vm.pid} ") for trace in more)
    in_cgroups = {str(path) for path in vm.cgroups().values() if vm.cid in str(path)}
    assert in_cgroups
    assert in_cgroups <= {trace.name for trace in more if trace.kind == "cgroup"}
    daemon.cpi.ok("delete_vm", vm.cid)
    daemon.stop()
    assert not leaks.left(before, daemon.home.parent, [daemon.cgroup])


def test_finds_mounts_and_loop_devices(daemon: Daemon) -> None:
    """A VM's mounts and loop devices are found, and cleared away."""
    before = leaks.find(daemon.home.parent, [daemon.cgroup])
    disk, place = daemon.home / "disk", daemon.home / "place"
    place.mkdir()
    disk.touch()
    with disk.open("wb") as file:
        file.truncate(8 << 20)
    subprocess.run(["mkfs.ext4", "-q", disk], check=True)
    subprocess.run(["mount", "-o", "loop", disk, place], check=True)
    more = leaks.find(daemon.home.parent, [daemon.cgroup]) - before
    assert {trace.kind for trace in more} == {"mount", "loop device"}
    leaks.clear(trace for trace in more if trace.kind == "mount")

    def all_gone() -> bool:
        return leaks.find(daemon.home.parent, [daemon.cgroup]) == before

    eventually(all_gone, "the mount and its loop device are gone")


def test_removes_any_tree(tmp_path: Path) -> None:
    """Trees of hostile VMs are removed, deep ones and such as even root may not change."""
    tree = tmp_path / "tree"
    kept = trees.write(tree, "a/kept", "")
    subprocess.run(["chattr", "+i", kept], check=True)
    place = os.open(tree, os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("deep", dir_fd=place)
        below = os.open("deep", os.O_RDONLY, dir_fd=place)
        os.close(place)
        place = below
    os.close(place)
    trees.remove(tree)
    assert not tree.exists()
