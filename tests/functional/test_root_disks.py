"""root_disk_size bounds what a VM changes on C{/}."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.functional.disks.site import loop_of
from tests.functional.test_full_disk import SmallDisk
from tests.functional.test_repair import repair
from tests.harness import leaks
from tests.harness.daemon import Daemon
from tests.harness.host import reboot_host
from tests.harness.lab import NewDaemon
from tests.harness.vm import VM
from tests.harness.waiting import eventually

MIB = 1 << 20
SMALL = {"root_disk_size": 64}
DATA = "/var/vcap/data"


def fill(vm: VM, directory: str = "") -> int:
    """Write until there is no room; return how many bytes were written."""
    file = f"{directory}/ballast"
    script = f"dd if=/dev/zero of={file} bs=64k 2>&1 || stat -c %s {file}"
    *complaint, size = vm.shell(script).splitlines()
    assert "No space left on device" in " ".join(complaint)
    return int(size)


def size_inside(vm: VM) -> int:
    """Return the size in bytes of the file system at / that a VM is told."""
    size, blocks = vm.run("stat", "-f", "-c", "%S %b", "/").split()
    return int(size) * int(blocks)


def image_of(vm: VM) -> Path:
    """Return the file that is a VM's root disk."""
    return vm.directory / "root"


def is_mounted(vm: VM) -> bool:
    """Say whether the host has a VM's root disk mounted."""
    return (vm.directory / "layers").is_mount()


def test_it_is_a_limit(daemon: Daemon, tiny: Path) -> None:
    """
    A VM that fills its C{/} is told that there is no room.  It goes on, others do not
    notice, and its deletion leaves neither a mount nor a loop device.
    """
    stemcell = daemon.create_stemcell(tiny)
    vm = daemon.create_vm(stemcell, cloud_properties=SMALL)
    other = daemon.create_vm(stemcell, cloud_properties=SMALL)
    assert 64 * MIB * 0.7 < fill(vm) <= size_inside(vm) <= 64 * MIB
    assert vm.is_alive()
    assert other.shell("echo 1 >/file; cat /file") == "1\n"
    third = daemon.create_vm(stemcell, cloud_properties=SMALL)
    assert image_of(vm).stat().st_blocks * 512 <= 64 * MIB
    # It boots although there is no room for any file.
    daemon.cpi.ok("reboot_vm", vm.cid)
    assert vm.shell("rm /ballast; echo 1 >/file; cat /file") == "1\n"
    assert len(leaks.loops(daemon.home)) == 3
    daemon.cpi.ok("delete_vm", vm.cid)
    # No other VM holds on to it.
    eventually(lambda: len(leaks.loops(daemon.home)) == 2, "its loop device is gone")
    assert not vm.directory.exists()
    assert other.is_alive()
    assert third.is_alive()


def test_a_default_size(daemon: Daemon, tiny: Path) -> None:
    """A VM has a root disk of 20 GiB unless told otherwise, and it takes little room."""
    vm = daemon.create_vm(daemon.create_stemcell(tiny))
    assert 19 << 30 < size_inside(vm) <= 20 << 30
    assert image_of(vm).stat().st_blocks * 512 < 16 * MIB


def test_the_vm_alone_sees_its_root(daemon: Daemon, tiny: Path) -> None:
    """C{/} is an overlay over the stemcell, which is mounted in the VM and nowhere else."""
    stemcell = daemon.create_stemcell(tiny)
    vm = daemon.create_vm(stemcell)
    (root,) = [
        line
        for line in Path(f"/proc/{vm.pid}/mountinfo").read_text().splitlines()
        if line.split()[4] == "/"
    ]
    assert " - overlay overlay " in root
    lower = daemon.rootfs_of(stemcell)
    assert f"lowerdir={lower},upperdir={vm.directory}/upper," in root
    on_the_host = Path("/proc/self/mountinfo").read_text()
    assert f"{vm.directory}/upper" not in on_the_host
    assert not list((vm.directory / "rootfs").iterdir())


def test_data_is_on_it(daemon: Daemon, tiny: Path) -> None:
    """
    The data of a VM without an ephemeral disk is on the root disk, survives a reboot, and
    leaves C{/} no more room than is left.
    """
    stemcell = daemon.create_stemcell(tiny)
    vm = daemon.create_vm(stemcell, cloud_properties=SMALL)
    vm.shell(f"echo kept >{DATA}/kept")
    assert 64 * MIB * 0.7 < fill(vm, DATA) <= 64 * MIB
    assert vm.attempt("dd", "if=/dev/zero", "of=/file", "bs=64k", "count=1").returncode
    daemon.cpi.ok("reboot_vm", vm.cid)
    assert vm.read(f"{DATA}/kept") == "kept\n"
    assert (vm.directory / "data").resolve() == vm.directory / "layers" / "data"
    vm.shell(f"rm {DATA}/ballast; echo 1 >/file")
    with_disk = {**SMALL, "ephemeral_disk_size": 16}
    other = daemon.create_vm(stemcell, cloud_properties=with_disk)
    assert fill(other, DATA) <= 16 * MIB
    other.shell("echo 1 >/file")


def test_data_that_is_on_the_host(new_daemon: NewDaemon, tiny: Path) -> None:
    """A VM whose data is not on its root disk, as an older daemon made it, keeps it."""
    daemon = new_daemon().start()
    vm = daemon.create_vm(daemon.create_stemcell(tiny), cloud_properties=SMALL)
    data = vm.directory / "data"
    data.unlink()
    data.mkdir()
    (data / "kept").write_text("kept\n")
    daemon.cpi.ok("reboot_vm", vm.cid)
    assert vm.read(f"{DATA}/kept") == "kept\n"


@pytest.mark.parametrize("instead", ["nothing", "link"])
def test_data_that_is_lost(daemon: Daemon, tiny: Path, instead: str) -> None:
    """A VM whose data is not where it was does not boot with other data in its place."""
    vm = daemon.create_vm(daemon.create_stemcell(tiny), cloud_properties=SMALL)
    data = vm.directory / "layers" / "data"
    data.rename(data.with_name("lost+found") / "data")
    if instead == "link":
        data.symlink_to(daemon.home)
    error = daemon.cpi.error("reboot_vm", vm.cid)
    assert str(data) in error["message"]
    assert not vm.is_alive()
    data.unlink(missing_ok=True)
    (data.with_name("lost+found") / "data").rename(data)
    daemon.cpi.ok("reboot_vm", vm.cid)
    assert vm.is_alive()


def test_what_a_vm_deletes_is_free_on_the_host(daemon: Daemon, tiny: Path) -> None:
    """What a VM deletes on C{/} does not take room on the host any more."""
    vm = daemon.create_vm(daemon.create_stemcell(tiny), cloud_properties=SMALL)
    fill(vm)
    vm.shell("sync")
    image = image_of(vm)
    assert image.stat().st_blocks * 512 > 40 * MIB
    vm.shell("rm /ballast; sync")

    def is_small() -> bool:
        return image.stat().st_blocks * 512 < 20 * MIB

    eventually(is_small, "the host has the room back", 60)


def reboot_vm(daemon: Daemon, vm: VM) -> None:
    """Reboot a VM as C{bosh cck} does."""
    daemon.cpi.ok("reboot_vm", vm.cid)


def reboot_after_a_crash(daemon: Daemon, vm: VM) -> None:
    """Kill a VM, and start it again."""
    os.kill(vm.pid, signal.SIGKILL)
    eventually(lambda: not vm.is_alive(), "the VM is down")
    daemon.cpi.ok("reboot_vm", vm.cid)


def restart_daemon(daemon: Daemon, vm: VM) -> None:
    """Kill the daemon, and start it; the VM runs on."""
    first = vm.pid
    daemon.kill()
    daemon.start()
    assert vm.pid == first


def restart_host(daemon: Daemon, vm: VM) -> None:
    """Take away all that a reboot of the host takes."""
    reboot_host(daemon)
    assert not is_mounted(vm)
    assert loop_of(image_of(vm)) is None
    daemon.start()
    eventually(lambda: f"brought back {vm.cid}" in daemon.log, "the VM is back", 20)


@pytest.mark.parametrize(
    "reboot", [reboot_vm, reboot_after_a_crash, restart_daemon, restart_host]
)
def test_files_stay(
    new_daemon: NewDaemon, tiny: Path, reboot: Callable[[Daemon, VM], None]
) -> None:
    """After a reboot of the VM, the daemon or the host, C{/} is as it was, and bounded."""
    daemon = new_daemon().start()
    vm = daemon.create_vm(daemon.create_stemcell(tiny), cloud_properties=SMALL)
    vm.shell("echo kept >/kept; sync")
    reboot(daemon, vm)
    assert vm.read("/kept") == "kept\n"
    assert fill(vm) <= 64 * MIB
    vm.shell("rm /ballast")
    disk_cid = daemon.cpi.ok("create_disk", 8, {}, vm.cid)
    daemon.cpi.ok("attach_disk", vm.cid, disk_cid)
    daemon.cpi.ok("detach_disk", vm.cid, disk_cid)
    daemon.cpi.ok("delete_disk", disk_cid)


def test_programs_and_nodes(daemon: Daemon, tiny: Path) -> None:
    """Set-uid programs have rights, and device nodes can be made and used, as before."""
    vm = daemon.create_vm(daemon.create_stemcell(tiny))
    vm.shell("mknod /null c 1 3; echo 1 >/null")
    vm.shell("mknod /disk b 7 0")
    assert "not permitted" in vm.attempt("dd", "if=/disk", "of=/dev/null").stderr
    vm.shell("cp $(readlink -f /proc/self/exe) /suid; chmod 4755 /suid")
    inside = Path(f"/proc/{vm.pid}/root/suid")
    assert inside.stat().st_mode & 0o4000
    flags = os.statvfs(inside).f_flag
    assert not flags & (os.ST_NOSUID | os.ST_NODEV | os.ST_NOEXEC)
    on_the_host = os.statvfs(vm.directory / "layers").f_flag
    assert on_the_host & os.ST_NOSUID
    assert on_the_host & os.ST_NODEV


def test_a_broken_root_disk(new_daemon: NewDaemon, tiny: Path) -> None:
    """A VM whose root disk cannot be mounted is reported, and others go on."""
    daemon = new_daemon().start()
    stemcell = daemon.create_stemcell(tiny)
    broken, sound = (daemon.create_vm(stemcell, cloud_properties=SMALL) for _ in range(2))
    reboot_host(daemon)
    with image_of(broken).open("r+b") as file:
        file.write(bytes(64 * MIB))
    daemon.start()
    eventually(lambda: f"brought back {sound.cid}" in daemon.log, "one is back", 20)
    assert sound.is_alive()
    assert not broken.is_alive()
    told = f"cannot bring back {broken.cid}: e2fsck"
    eventually(lambda: told in daemon.log, "the other is reported", 20)
    assert daemon.cpi.ok("has_vm", broken.cid) is True
    error = daemon.cpi.error("reboot_vm", broken.cid)
    assert "e2fsck" in error["message"]
    assert daemon.create_vm(stemcell).is_alive()
    daemon.cpi.ok("delete_vm", broken.cid)


def test_a_record_that_cannot_be_read(new_daemon: NewDaemon, tiny: Path) -> None:
    """After a reboot of the host, too, a VM without its record keeps its address."""
    daemon = new_daemon().start()
    stemcell = daemon.create_stemcell(tiny)
    vm = daemon.create_vm(stemcell, cloud_properties=SMALL)
    record = vm.directory / "vm.json"
    content = record.read_text()
    reboot_host(daemon)
    record.write_text("{")
    daemon.start()
    try:
        assert daemon.create_vm(stemcell).address != vm.address
    finally:
        daemon.stop()
        record.write_text(content)
        daemon.start()


def test_a_mount_that_is_gone(daemon: Daemon, tiny: Path) -> None:
    """A root disk that somebody unmounted is mounted by a repair, while the VM runs."""
    vm = daemon.create_vm(daemon.create_stemcell(tiny), cloud_properties=SMALL)
    subprocess.run(["umount", str(vm.directory / "layers")], check=True)
    vm.shell("echo 1 >/file")
    repair(daemon)
    assert is_mounted(vm)
    assert (vm.directory / "upper" / "file").read_text() == "1\n"
    daemon.cpi.ok("reboot_vm", vm.cid)
    assert vm.read("/file") == "1\n"


def test_vms_without_a_root_disk(new_daemon: NewDaemon, tiny: Path) -> None:
    """
    With size 0 a VM has all that the host has, and goes on as it is when the size of
    others changes.
    """
    daemon = new_daemon(config={"vms": {"root_disk_size": 0}}).start()
    stemcell = daemon.create_stemcell(tiny)
    vm = daemon.create_vm(stemcell)
    host = os.statvfs(daemon.work_dir)
    assert size_inside(vm) == host.f_frsize * host.f_blocks
    assert not image_of(vm).exists()
    vm.shell("echo kept >/kept")
    daemon.stop()
    daemon.config["vms"] = {"root_disk_size": 64}
    daemon.write_config()
    daemon.start()
    daemon.cpi.ok("reboot_vm", vm.cid)
    assert vm.read("/kept") == "kept\n"
    assert not image_of(vm).exists()
    assert size_inside(daemon.create_vm(stemcell)) <= 64 * MIB


def test_without_loop_devices(new_daemon: NewDaemon, tiny: Path) -> None:
    """With disks that are directories there is no bound, and who asks for one is told."""
    daemon = new_daemon(config={"disks": {"driver": "directory"}}).start()
    stemcell = daemon.create_stemcell(tiny)
    daemon.create_vm(stemcell)
    assert "root_disk_size" not in daemon.log
    vm = daemon.create_vm(stemcell, cloud_properties=SMALL)
    assert size_inside(vm) > 64 * MIB
    assert "keeps to no root_disk_size" in daemon.log


def test_a_host_that_ran_full(
    leaves_nothing: None, new_daemon: NewDaemon, tiny: Path
) -> None:
    """
    A VM that wrote more than the full host could take works again after a reboot_vm, once
    there is room.
    """
    daemon = new_daemon()
    disk = SmallDisk(daemon.work_dir)
    daemon.start()
    try:
        vm = daemon.create_vm(daemon.create_stemcell(tiny), cloud_properties=SMALL)
        vm.shell("echo kept >/kept; sync")
        disk.fill()
        vm.attempt("sh", "-c", "dd if=/dev/zero of=/ballast bs=64k count=500; sync")
        disk.empty()
        daemon.cpi.ok("reboot_vm", vm.cid)
        assert vm.read("/kept") == "kept\n"
        vm.shell("rm -f /ballast; echo 1 >/file; sync; cat /file")
        daemon.cpi.ok("delete_vm", vm.cid)
    finally:
        disk.empty()
        daemon.tear_down()
        disk.remove()
