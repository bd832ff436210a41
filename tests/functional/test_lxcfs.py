"""VMs that see memory, processors and load of their own, by lxcfs."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.harness.daemon import Daemon
from tests.harness.lab import Lab, NewDaemon
from tests.harness.lxcfs import Lxcfs, lxcfs
from tests.harness.vm import VM

MEMORY = 96  # MiB


@pytest.fixture
def point(lab: Lab) -> Path:
    """Where lxcfs is mounted, or not."""
    return lab.home / "lxcfs"


@pytest.fixture
def server(point: Path, leaves_nothing: None) -> Iterator[Lxcfs]:
    """A lxcfs that answers."""
    with lxcfs(point) as server:
        yield server


@pytest.fixture
def daemon(new_daemon: NewDaemon, point: Path) -> Daemon:
    """A daemon that looks for lxcfs; it is not started yet."""
    return new_daemon(config={"vms": {"lxcfs": str(point)}})


def memory(vm: VM) -> int:
    """Return how many MiB a VM believes it has."""
    found = re.search(
        r"MemTotal: +(\d+) kB", vm.run("/bin/busybox", "cat", "/proc/meminfo")
    )
    assert found is not None
    return int(found[1]) // 1024


def new_vm(daemon: Daemon, stemcell: str) -> VM:
    """Make a VM with little memory, and one processor."""
    return daemon.create_vm(stemcell, cloud_properties={"ram": MEMORY, "cpu": 1})


def test_own_figures(server: Lxcfs, daemon: Daemon, tiny: Path) -> None:
    """A VM sees its own memory, processors and uptime, before and after a reboot."""
    daemon.start()
    assert "VMs that boot see memory and load of their own" in daemon.log
    stemcell = daemon.create_stemcell(tiny)
    vm = new_vm(daemon, stemcell)
    for _ in range(2):
        assert memory(vm) == MEMORY
        assert vm.run("/bin/busybox", "cat", "/proc/cpuinfo").count("processor\t") == 1
        assert float(vm.run("/bin/busybox", "cat", "/proc/uptime").split()[0]) < 100
        assert "cpu0" in vm.run("/bin/busybox", "cat", "/proc/stat")
        for name in ("loadavg", "swaps", "diskstats"):
            vm.run("/bin/busybox", "cat", f"/proc/{name}")
        assert (
            vm.run("/bin/busybox", "cat", "/sys/devices/system/cpu/online").strip() == "0"
        )
        assert vm.attempt("/bin/busybox", "touch", "/proc/meminfo").returncode != 0
        daemon.cpi.ok("reboot_vm", vm.cid)
    assert daemon.log.count("VMs that boot see") == 1


def test_isolated(server: Lxcfs, new_daemon: NewDaemon, point: Path, tiny: Path) -> None:
    """A VM with users of its own sees its own memory as well."""
    config = {"vms": {"lxcfs": str(point)}, "security": {"profile": "isolated"}}
    daemon = new_daemon(config=config).start()
    assert memory(new_vm(daemon, daemon.create_stemcell(tiny))) == MEMORY


@pytest.mark.parametrize("profile", ["default", "isolated"])
def test_a_container_in_a_vm(
    server: Lxcfs,
    new_daemon: NewDaemon,
    point: Path,
    image: Callable[[str], Path],
    profile: str,
) -> None:
    """A VM with systemd boots beside lxcfs, and runc in it runs a container."""
    config = {"vms": {"lxcfs": str(point)}, "security": {"profile": profile}}
    daemon = new_daemon(config=config).start()
    vm = daemon.create_vm(
        daemon.create_stemcell(image("systemd")), cloud_properties={"ram": 512}
    )
    vm.wait_for_agent()
    assert "MemTotal:         524288 kB" in vm.read("/proc/meminfo")
