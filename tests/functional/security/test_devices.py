"""A VM cannot allow itself devices of the host, whatever it writes to its cgroups."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.harness.daemon import Daemon
from tests.harness.lab import NewDaemon
from tests.harness.vm import VM

ALLOW = "/sys/fs/cgroup/devices/devices.allow"
# The kernel's log, the memory of the host, its console, the first disks of two kinds, the
# loop control.
OF_THE_HOST = ("c 1:11", "c 1:1", "c 5:1", "b 8:0", "b 254:0", "c 10:237")
NULL = "c 1:3"
PROFILES = ("default", "privileged")


@pytest.fixture(params=PROFILES)
def daemon(request: pytest.FixtureRequest, new_daemon: NewDaemon) -> Daemon:
    """A daemon with each profile."""
    return new_daemon(config={"security": {"profile": request.param}}).start()


@pytest.fixture
def vm(daemon: Daemon, tiny: Path) -> VM:
    """A VM with all capabilities."""
    properties = {"capabilities": "all"}
    return daemon.create_vm(daemon.create_stemcell(tiny), cloud_properties=properties)


def opens(vm: VM, device: str) -> bool:
    """Say whether the VM can open a device, after it made a node for it."""
    kind, _, numbers = device.partition(" ")
    numbers = numbers.replace(":", " ")
    vm.shell(f"rm -f /node; busybox mknod /node {kind} {numbers}")
    outcome = vm.attempt("sh", "-c", ": </node")
    assert outcome.returncode == 0 or "not permitted" in outcome.stderr, outcome
    return outcome.returncode == 0


def has_v1(vm: VM) -> bool:
    """Say whether the device controller is one of cgroup v1."""
    return vm.attempt("sh", "-c", f"test -f {ALLOW}").returncode == 0


def test_what_is_the_hosts(vm: VM) -> None:
    """
    A VM can deny itself a device and allow it again, but no device that it did not have.
    """
    for rule in ("a", "a *:* rwm", *(f"{device} rwm" for device in OF_THE_HOST)):
        if has_v1(vm):
            refused = vm.attempt("sh", "-c", f"echo '{rule}' >{ALLOW}")
            assert "not permitted" in refused.stderr, (rule, refused)
    for device in OF_THE_HOST:
        assert not opens(vm, device), device
    assert opens(vm, NULL)
    if has_v1(vm):
        vm.shell(f"echo '{NULL} rwm' >{Path(ALLOW).with_name('devices.deny')}")
        assert not opens(vm, NULL)
        vm.shell(f"echo '{NULL} rwm' >{ALLOW}")
        assert opens(vm, NULL)


def test_where_the_hierarchy_is_mounted_again(vm: VM) -> None:
    """A VM that mounts the hierarchy again sees only its own part of it."""
    if not has_v1(vm):
        pytest.skip("this host has no device controller of cgroup v1")
    vm.shell("mkdir /m; mount -t cgroup -o devices devices /m; cat /m/devices.list")
    assert "inside" not in vm.run("ls", "/m", "/m/..")
    refused = vm.attempt("sh", "-c", "mkdir /m/x; echo a >/m/x/devices.allow")
    assert "not permitted" in refused.stderr


def test_rules_of_disks_come_and_go(daemon: Daemon, vm: VM) -> None:
    """
    A disk can be opened only while it is attached, also by a container that the VM made.
    """
    disk = daemon.cpi.ok("create_disk", 8, {}, vm.cid)
    hint = daemon.cpi.ok("attach_disk", vm.cid, disk)
    read = f"dd if={hint} of=/dev/null bs=512 count=1"
    vm.shell(read)
    inner = "/sys/fs/cgroup/devices/inner"
    if has_v1(vm):
        vm.shell(f"mkdir {inner}; echo $$ >{inner}/cgroup.procs; {read}")
    vm.shell(f"busybox cp -a {hint} /copy")
    daemon.cpi.ok("reboot_vm", vm.cid)
    vm.shell(read)
    vm.shell(read.replace(hint, "/copy"))
    daemon.cpi.ok("detach_disk", vm.cid, disk)
    refused = vm.attempt("sh", "-c", read.replace(hint, "/copy"))
    assert "not permitted" in refused.stderr, refused
    daemon.cpi.ok("delete_disk", disk)
