"""C{cloud_properties} of create_vm: limits, the init, and unknown properties."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from runc_cpi.daemon.host.cgroups import hierarchies
from tests.harness.daemon import Daemon, vm_arguments
from tests.harness.lab import NewDaemon
from tests.harness.vm import VM
from tests.harness.waiting import eventually

PIDS = ("pids", "pids.max")
BOMB = "while :; do sh /bomb & done"


def limit(vm: VM, v1: tuple[str, str], v2: str) -> str:
    """Read a limit of a VM, from the version of cgroups that its controller is on."""
    controller, name = v1
    directories = vm.cgroups()
    if controller in directories:
        return (directories[controller] / name).read_text("ascii").strip()
    return (directories["unified"] / v2).read_text("ascii").split()[0]


def test_limits(daemon: Daemon, tiny: Path) -> None:
    """A VM's processors, memory and processes are limited as asked, also after a reboot."""
    properties = {"cpu": 1.5, "ram": 96, "pids": 100, "ephemeral_disk_size": 1024}
    stemcell = daemon.create_stemcell(tiny)
    vm = daemon.create_vm(stemcell, cloud_properties=properties)
    for _ in range(2):
        assert limit(vm, ("cpu", "cpu.cfs_quota_us"), "cpu.max") == "150000"
        memory = limit(vm, ("memory", "memory.limit_in_bytes"), "memory.max")
        assert memory == str(96 << 20)
        assert limit(vm, PIDS, "pids.max") == "100"
        for inside in vm.cgroups().values():
            for name in hierarchies.LIMITS:
                if (inside / name).exists():
                    bound = (inside.parent / name).read_text()
                    assert bound == (inside / name).read_text(), name
        daemon.cpi.ok("reboot_vm", vm.cid)


def test_without_limits(daemon: Daemon, tiny: Path) -> None:
    """A VM without limits in its properties has a limit of processes only."""
    vm = daemon.create_vm(daemon.create_stemcell(tiny))
    assert limit(vm, ("cpu", "cpu.cfs_quota_us"), "cpu.max") in ("-1", "max")
    memory = limit(vm, ("memory", "memory.limit_in_bytes"), "memory.max")
    assert memory == "max" or int(memory) > 1 << 50
    assert limit(vm, PIDS, "pids.max") == "32768"


def test_a_vm_that_forks_without_end(new_daemon: NewDaemon, tiny: Path) -> None:
    """A fork bomb reaches its VM's limit, cannot raise it, and no other VM notices."""
    daemon = new_daemon(config={"vms": {"pids": 128}}).start()
    stemcell = daemon.create_stemcell(tiny)
    other, vm = daemon.create_vm(stemcell), daemon.create_vm(stemcell)
    for bound in ("/sys/fs/cgroup/pids/pids.max", "/sys/fs/cgroup/pids.max"):
        vm.attempt("sh", "-c", f"test ! -e {bound} || echo max >{bound}")
    outcome = vm.attempt("sh", "-c", "while :; do sleep 1000 >/dev/null 2>&1 & done")
    assert "can't fork" in outcome.stderr
    current = ("pids", "pids.current")
    # The shell that reached the limit has ended.
    eventually(lambda: limit(vm, current, "pids.current") == "127", "all but one", 60)
    daemon.cpi.ok("reboot_vm", vm.cid)
    vm.shell(f"echo '{BOMB}' >/bomb; (sh /bomb &) >/dev/null 2>&1")
    eventually(lambda: hits(vm) > 100, "it meets its bound, time and again", 60)
    assert other.shell("echo alive") == "alive\n"
    assert daemon.create_vm(stemcell).is_alive()
    daemon.cpi.ok("delete_vm", vm.cid)
    assert daemon.cpi.ok("has_vm", vm.cid) is False


def hits(vm: VM) -> int:
    """Count how often a VM was refused a fork."""
    directories = vm.cgroups()
    directory = directories.get("pids", directories["unified"])
    return int((directory / "pids.events").read_text("ascii").split()[1])


def test_calculated_properties_are_kept_to(daemon: Daemon, tiny: Path) -> None:
    """The result of calculate_vm_cloud_properties can be given to create_vm."""
    wanted = {"cpu": 2, "ram": 256, "ephemeral_disk_size": 2048}
    properties = daemon.cpi.ok("calculate_vm_cloud_properties", wanted)
    vm = daemon.create_vm(daemon.create_stemcell(tiny), cloud_properties=properties)
    assert limit(vm, ("cpu", "cpu.cfs_quota_us"), "cpu.max") == "200000"


def test_a_process_beyond_its_memory_is_killed(daemon: Daemon, tiny: Path) -> None:
    """A process beyond the VM's memory limit is killed, and the VM lives on."""
    stemcell = daemon.create_stemcell(tiny)
    vm = daemon.create_vm(stemcell, cloud_properties={"ram": 48})
    script = "dd if=/dev/zero of=/dev/null bs=200M count=1"
    outcome = vm.attempt("/bin/sh", "-c", script)
    assert outcome.returncode != 0
    assert vm.is_alive()


def size(vm: VM, path: str) -> int:
    """Return the size in bytes of the file system at a path in a VM."""
    status = os.statvfs(f"/proc/{vm.pid}/root{path}")
    return status.f_blocks * status.f_frsize


def test_file_systems_in_memory_are_bounded(
    daemon: Daemon, image: Callable[[str], Path]
) -> None:
    """File systems in memory are full before the VM's memory is used up."""
    stemcell = daemon.create_stemcell(image("systemd"))
    vm = daemon.create_vm(stemcell, cloud_properties={"ram": 160})
    vm.wait_for_agent()
    for path, expected in (("/dev/shm", 80 << 20), ("/run", 32 << 20)):
        assert size(vm, path) == expected
        outcome = vm.attempt("dd", "if=/dev/zero", f"of={path}/full", "bs=1M")
        assert "No space left" in outcome.stderr, outcome
        vm.run("rm", f"{path}/full")
    assert size(vm, "/run/lock") == 5 << 20
    assert vm.wait_for_agent()


def test_file_systems_in_memory_without_a_limit(daemon: Daemon, tiny: Path) -> None:
    """Without a memory limit, file systems in memory are limited by the host's memory."""
    vm = daemon.create_vm(daemon.create_stemcell(tiny))
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    # The kernel and the C library count the memory differently.
    assert 0 < size(vm, "/dev/shm") < memory * 0.6


def test_init_override(daemon: Daemon, image: Callable[[str], Path]) -> None:
    """
    The properties may name the init; the error for one that the stemcell lacks says so.
    """
    systemd = daemon.create_stemcell(image("systemd"))
    vm = daemon.create_vm(systemd, cloud_properties={"init": "systemd"})
    vm.wait_for_agent()
    properties = {"init": "runit"}
    error = daemon.cpi.error(
        "create_vm", *vm_arguments(systemd, cloud_properties=properties)
    )
    assert "runsvdir-start" in error["message"]
    assert daemon.vm_cids() == [vm.cid]


def test_unknown_properties(daemon: Daemon, tiny: Path) -> None:
    """Properties of other CPIs are ignored, and named in both logs, the CPI's too."""
    properties = {"instance_type": "m1", "zone": None, "cpu": 1}
    stemcell = daemon.create_stemcell(tiny)
    arguments = vm_arguments(stemcell, cloud_properties=properties)
    answer = daemon.cpi.call("create_vm", *arguments)
    assert answer["error"] is None
    told = "cloud_properties instance_type, zone mean nothing to this CPI"
    account, warning = answer["log"].splitlines()
    assert re.fullmatch(
        rf"create_vm took \d+ ms: stemcell_cid {stemcell}, vm_cid vm-.*", account
    )
    assert warning == f"warning: {told}"
    (line,) = [line for line in daemon.log.splitlines() if "instance_type" in line]
    assert "zone" in line
    assert daemon.cpi.last_request_id in line
    (account,) = daemon.cpi.call("create_vm", *vm_arguments(stemcell))["log"].splitlines()
    assert "warning" not in account


@pytest.mark.parametrize(
    ("properties", "named"),
    [
        ({"cpu": 0}, "cpu"),
        ({"cpu": "2"}, "cpu"),
        ({"cpu": True}, "cpu"),
        ({"ram": 1}, "ram"),
        ({"ram": 12.5}, "ram"),
        ({"pids": 10}, "pids"),
        ({"pids": "all"}, "pids"),
        ({"init": "openrc"}, "init"),
        ({"init": ["runit"]}, "init"),
        ({"init": {}}, "init"),
        ({"capabilities": "some"}, "capabilities"),
        ({"capabilities": ["all"]}, "capabilities"),
    ],
)
def test_bad_properties(
    daemon: Daemon, tiny: Path, properties: dict[str, object], named: str
) -> None:
    """A bad value is the caller's error, and the error names the property."""
    stemcell = daemon.create_stemcell(tiny)
    arguments = vm_arguments(stemcell, cloud_properties=properties)
    error = daemon.cpi.error("create_vm", *arguments)
    assert error["type"] == "Bosh::Clouds::CpiError"
    assert f"cloud_properties.{named}" in error["message"]
    assert error["ok_to_retry"] is False
