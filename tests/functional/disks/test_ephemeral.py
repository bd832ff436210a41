"""ephemeral_disk_size is the size of /var/vcap/data."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.functional.disks.site import MIB, Site, loop_of
from tests.harness.agent import Agent
from tests.harness.daemon import vm_arguments
from tests.harness.lab import NewDaemon
from tests.harness.vm import VM
from tests.harness.waiting import eventually

DATA = "/var/vcap/data"


def refusal(site: Site, size: Any) -> dict[str, Any]:
    """Ask for a VM that must be refused; check that nothing of it is left."""
    properties = {"ephemeral_disk_size": size}
    arguments = vm_arguments(site.stemcell, cloud_properties=properties)
    error = site.cpi.error("create_vm", *arguments)
    assert site.daemon.vm_cids() == []
    return error


def fill(vm: VM) -> int:
    """Write until there is no room; return how many bytes were written."""
    script = f"dd if=/dev/zero of={DATA}/ballast bs=64k 2>&1 || stat -c %s {DATA}/ballast"
    *complaint, size = vm.shell(script).splitlines()
    assert "No space left on device" in " ".join(complaint)
    return int(size)


@pytest.mark.parametrize("filesystem", ["ext4", "xfs"])
def test_it_is_a_limit(new_site: Callable[..., Site], filesystem: str) -> None:
    """
    A VM cannot write more than the size; its files outlive a reboot; deletion leaves
    nothing.
    """
    site = new_site(config={"disks": {"filesystem": filesystem}})
    size = 32 if filesystem == "ext4" else 320
    vm = site.vm({"ephemeral_disk_size": size})
    vm.shell(f"echo kept >{DATA}/file")
    assert size * MIB * 0.7 < fill(vm) <= size * MIB
    vm.shell(f"rm {DATA}/ballast")
    site.cpi.ok("reboot_vm", vm.cid)
    assert vm.read(f"{DATA}/file") == "kept\n"
    assert size * MIB * 0.7 < fill(vm) <= size * MIB
    image = vm.directory / "ephemeral"
    assert loop_of(image) is not None
    site.cpi.ok("delete_vm", vm.cid)
    assert loop_of(image) is None
    assert not vm.directory.exists()


def test_with_persistent_disks(own_site: Site) -> None:
    """
    Ephemeral and persistent disks work side by side while the daemon is killed and started.
    """
    site = own_site
    vm = site.vm({"ephemeral_disk_size": 16})
    disk_cid = site.store(vm)
    vm.shell(f"echo kept >{DATA}/file")
    site.daemon.kill()
    site.daemon.start()
    assert vm.read(f"{DATA}/file") == "kept\n"
    site.detach(vm, disk_cid)
    os.kill(vm.pid, signal.SIGKILL)
    eventually(lambda: not vm.is_alive(), "the VM is down")
    site.cpi.ok("reboot_vm", vm.cid)
    assert vm.read(f"{DATA}/file") == "kept\n"
    site.attach(vm, disk_cid)
    assert Agent(vm).mount_disk(disk_cid)


def test_other_loop_devices_stay_out_of_reach(site: Site) -> None:
    """The VM cannot open the loop device of its ephemeral disk."""
    vm = site.vm({"ephemeral_disk_size": 16})
    name = loop_of(vm.directory / "ephemeral")
    assert name is not None
    vm.shell(f"mknod /x b 7 {name.removeprefix('loop')}")
    assert "not permitted" in vm.attempt("dd", "if=/x", "of=/dev/null", "count=1").stderr


def test_without_a_size(site: Site) -> None:
    """Without a size /var/vcap/data has that of the root disk."""
    vm = site.vm()
    size, blocks = vm.run("stat", "-f", "-c", "%S %b", DATA).split()
    disk = os.statvfs(vm.directory / "layers")
    assert int(size) * int(blocks) == disk.f_frsize * disk.f_blocks
    assert disk.f_blocks < os.statvfs(vm.directory).f_blocks
    assert not (vm.directory / "ephemeral").exists()


def test_what_is_refused(site: Site) -> None:
    """Bad sizes, and sizes that the host has no room for, are refused."""
    for size in (0, -1, 1.5, "16", True, [16], 1):
        error = refusal(site, size)
        assert error["type"] == "Bosh::Clouds::CpiError", size
        assert "size" in error["message"]
    error = refusal(site, 1 << 27)
    assert error["type"] == "Bosh::Clouds::VMCreationFailed"
    assert error["ok_to_retry"] is True


def test_real_stemcells(
    new_daemon: NewDaemon, kind: str, image: Callable[[str], Path]
) -> None:
    """A size from calculate_vm_cloud_properties is kept to, with either init."""
    site = Site(new_daemon(), image(kind)).start()
    wanted = {"cpu": 1, "ram": 512, "ephemeral_disk_size": 64}
    vm = site.vm(site.cpi.ok("calculate_vm_cloud_properties", wanted))
    vm.wait_for_agent()
    size, blocks = vm.run("stat", "-f", "-c", "%S %b", DATA).split()
    assert 32 * MIB < int(size) * int(blocks) <= 64 * MIB
