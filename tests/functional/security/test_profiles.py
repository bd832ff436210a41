"""What a VM can do to its host, by security.profile and by its init."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.harness.images import KINDS
from tests.harness.lab import Lab
from tests.harness.vm import VM

PROFILES = ("default", "isolated", "privileged")
KEPT_FROM_VMS = {
    "LINUX_IMMUTABLE": 9,
    "SYS_MODULE": 16,
    "SYS_RAWIO": 17,
    "SYS_BOOT": 22,
    "SYS_TIME": 25,
}
OF_THE_HOST = [
    "/proc/sys/kernel/core_pattern",
    "/proc/sys/kernel/panic",
    "/proc/sys/vm/swappiness",
    "/proc/sys/fs/file-max",
    "/sys/kernel/mm/transparent_hugepage/enabled",
]
ITS_OWN = ["kernel/shmmax", "kernel/sem", "fs/mqueue/msg_max", "net/ipv4/ip_forward"]


@pytest.fixture(
    scope="module",
    params=[(profile, kind) for profile in PROFILES for kind in KINDS],
    ids="-".join,
)
def booted(
    request: pytest.FixtureRequest, lab: Lab, image: Callable[[str], Path]
) -> Iterator[tuple[str, VM]]:
    """A profile, and a VM with it, whose agent is up."""
    profile, kind = request.param
    with lab.daemons() as new_daemon:
        daemon = new_daemon(config={"security": {"profile": profile}}).start()
        vm = daemon.create_vm(daemon.create_stemcell(image(kind)))
        vm.wait_for_agent()
        yield profile, vm


def opens_for_writing(vm: VM, path: str) -> bool:
    """Say whether root of the VM can open a file for writing; nothing is written."""
    return vm.attempt("/bin/sh", "-c", f": >>{path}").returncode == 0


def test_capabilities(booted: tuple[str, VM]) -> None:
    """
    Capabilities that only the host has a use for are kept from VMs, unless privileged.
    """
    profile, vm = booted
    (line,) = [line for line in vm.read("/proc/1/status").splitlines() if "CapBnd" in line]
    own = Path("/proc/self/status").read_text().split("CapBnd:\t")[1].split("\n")[0]
    for name, bit in KEPT_FROM_VMS.items():
        granted = int(line.split()[1], 16) >> bit & 1
        # The daemon can give only capabilities that it has itself.
        assert granted == (profile == "privileged" and int(own, 16) >> bit & 1), name


@pytest.mark.parametrize("path", OF_THE_HOST)
def test_tunables_of_the_host(booted: tuple[str, VM], path: str) -> None:
    """VMs can read tunables of the host; only privileged ones can write them."""
    profile, vm = booted
    if not Path(path).exists():
        pytest.skip(f"this kernel has no {path}")
    vm.read(path)
    assert opens_for_writing(vm, path) == (profile == "privileged")


@pytest.mark.parametrize("name", ITS_OWN)
def test_tunables_of_its_own(booted: tuple[str, VM], name: str) -> None:
    """
    A VM can change the tunables of its own network and ipc namespaces, not the host's.
    """
    _, vm = booted
    path = Path("/proc/sys", name)
    if not path.exists():
        pytest.skip(f"this kernel has no {path}")
    before, was = path.read_text(), vm.read(str(path))
    value = was.split()
    value[-1] = str(int(value[-1]) // 2 or 1)
    vm.shell(f"echo {' '.join(value)} >{path}")
    assert vm.read(str(path)).split() == value
    assert path.read_text() == before
    vm.shell(f"echo {' '.join(was.split())} >{path}")


def test_devices_of_the_host(booted: tuple[str, VM]) -> None:
    """A VM cannot open a node of a disk of the host, or of its memory."""
    profile, vm = booted
    for kind, number in (("b", "254 0"), ("b", "8 0"), ("c", "1 1"), ("c", "1 4")):
        made = vm.attempt("sh", "-c", f"rm -f /node; mknod /node {kind} {number}")
        assert (made.returncode == 0) == (profile != "isolated")
        outcome = vm.attempt("dd", "if=/node", "of=/dev/null", "bs=1", "count=1")
        assert outcome.returncode != 0, (kind, number)
    vm.shell("rm -f /node")


def test_cgroups_and_devices_of_its_own(booted: tuple[str, VM]) -> None:
    """A VM has what nested containers need: writable cgroups, and the usual devices."""
    _, vm = booted
    vm.shell(
        "d=$(find /sys/fs/cgroup -maxdepth 1 -name pids); mkdir ${d:-/sys/fs/cgroup}/x"
    )
    vm.shell(
        "d=$(find /sys/fs/cgroup -maxdepth 1 -name pids); rmdir ${d:-/sys/fs/cgroup}/x"
    )
    for name in ("null", "zero", "full", "random", "urandom", "tty", "ptmx"):
        vm.shell(f"test -c /dev/{name}")
