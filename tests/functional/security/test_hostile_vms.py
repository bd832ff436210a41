"""VMs whose root attacks the daemon: it serves others, and writes nowhere else."""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from runc_cpi.daemon.vms.spec.confinement import GUARDED_IOCTLS
from tests.functional.security import intruder
from tests.functional.security.intruder import Canary
from tests.harness import deep
from tests.harness.daemon import Daemon
from tests.harness.lab import Lab, NewDaemon
from tests.harness.vm import SETTINGS, VM
from tests.harness.waiting import eventually

DRAFT = "var/vcap/bosh/.warden-cpi-agent-env.json.new"
PLACE = SETTINGS.lstrip("/")
# Enough for all that ends, on a busy machine.
VISIT_TIMEOUT = 6
HUNG = 5
FIFREEZE, FITHAW = GUARDED_IOCTLS["FIFREEZE"], GUARDED_IOCTLS["FITHAW"]
PATIENCE = 60.0


@pytest.fixture
def canary(lab: Lab) -> Iterator[Canary]:
    """A disk of the host that nothing uses."""
    canary = Canary(lab.home / "canary")
    try:
        yield canary
        canary.check()
    finally:
        canary.remove()


def deep_settings(vm: VM, canary: Canary) -> None:
    """Write JSON that nests deeper than a parser goes."""
    (intruder.root(vm) / PLACE).write_text("[" * 200_000)


def bytes_in_a_mount_point(vm: VM, canary: Canary) -> None:
    """Make a mount whose name is not UTF-8."""
    name = b"/tmp/\xff\xfe"
    (intruder.root(vm) / os.fsdecode(name[1:])).mkdir()
    intruder.mount(vm, "-t", "tmpfs", "none", name)


def forged_mount(vm: VM, canary: Canary) -> None:
    """Make a mount whose name has a line break, by Python's rules, before a forged line."""
    (disk,) = (intruder.root(vm) / "dev").glob("disk-*")
    number = disk.stat().st_rdev
    line = ["9", "1", f"{os.major(number)}:{os.minor(number)}", "root", "point"]
    name = "/tmp/x\u2028" + "\u2003".join(line)
    (intruder.root(vm) / name[1:]).mkdir()
    intruder.mount(vm, "-t", "tmpfs", "none", name)


def pipes(vm: VM, canary: Canary) -> None:
    """Make pipes in place of the settings, and of the draft that could be expected."""
    for name in (PLACE, DRAFT):
        path = intruder.root(vm) / name
        path.unlink(missing_ok=True)
        os.mkfifo(path)


def disks_of_the_host(vm: VM, canary: Canary) -> None:
    """Make nodes of a disk of the host in place of the settings and the draft."""
    for name in (PLACE, DRAFT):
        path = intruder.root(vm) / name
        path.unlink(missing_ok=True)
        os.mknod(path, stat.S_IFBLK | 0o666, canary.number)


def deep_directories(vm: VM, canary: Canary) -> None:
    """Make deeply nested directories where the next boot looks for files."""
    (intruder.root(vm) / "var/vcap/data/sys").mkdir()
    for name in ("run", "var/vcap/data/sys"):
        with deep.made_below(intruder.root(vm) / name, 1500):
            pass  # it is all that is wanted


DEEDS: tuple[Callable[[VM, Canary], None], ...] = (
    deep_settings,
    bytes_in_a_mount_point,
    forged_mount,
    pipes,
    disks_of_the_host,
    deep_directories,
)


@pytest.mark.parametrize("deed", DEEDS)
def test_a_deed(
    new_daemon: NewDaemon, tiny: Path, canary: Canary, deed: Callable[[VM, Canary], None]
) -> None:
    """
    After each deed the daemon starts, repairs, attaches, detaches, reboots and deletes.
    """
    daemon = new_daemon().start()
    stemcell = daemon.create_stemcell(tiny)
    vm, other = daemon.create_vm(stemcell), daemon.create_vm(stemcell)
    disks = [daemon.cpi.ok("create_disk", 4, {}, None) for _ in range(2)]
    daemon.cpi.ok("attach_disk", vm.cid, disks[0], version=1)
    deed(vm, canary)
    daemon.stop()
    daemon.start()
    daemon.cpi.ok("attach_disk", vm.cid, disks[1], version=1)
    settings = intruder.root(vm) / PLACE
    assert stat.S_ISREG(settings.lstat().st_mode)
    assert all(disk in settings.read_text() for disk in disks)
    daemon.cpi.ok("detach_disk", vm.cid, disks[0])
    daemon.cpi.ok("reboot_vm", vm.cid)
    assert daemon.cpi.ok("has_vm", vm.cid) is True
    assert other.is_alive()
    daemon.cpi.ok("delete_vm", vm.cid)
    for disk in disks:
        daemon.cpi.ok("delete_disk", disk)


def test_vms_that_hang(new_daemon: NewDaemon, tiny: Path) -> None:
    """Calls about VMs that hang end, others are served, and the daemon stops and starts."""
    daemon = new_daemon(config={"visit_timeout": VISIT_TIMEOUT}).start()
    stemcell = daemon.create_stemcell(tiny)
    vms = [daemon.create_vm(stemcell) for _ in range(HUNG)]
    disks = [daemon.cpi.ok("create_disk", 4, {}, None) for _ in vms]
    with ExitStack() as stack:
        servers = [ExitStack() for _ in vms]
        for vm, server in zip(vms, servers, strict=True):
            stack.enter_context(server).enter_context(intruder.silent(vm, "/dev"))
        calls = [
            daemon.cpi.start("attach_disk", vm.cid, disk)
            for vm, disk in zip(vms, disks, strict=True)
        ]
        # All others wait by now, or will; this one does not.
        other = daemon.create_vm(stemcell)
        for vm, call in zip(vms, calls, strict=True):
            message = daemon.cpi.finish(call)["error"]["message"]
            assert f"{vm.cid}: a visit to its files did not end within" in message
            message = daemon.cpi.error("detach_disk", vm.cid, disks[vms.index(vm)])[
                "message"
            ]
            assert f"{vm.cid}: an earlier visit to its files still hangs" in message
        daemon.stop()
        daemon.start()
        assert daemon.cpi.ok("has_vm", other.cid) is True
        problems = "\n".join(line for line in daemon.log.splitlines() if "repair:" in line)
        assert all(vm.cid in problems for vm in vms)
        daemon.cpi.ok("reboot_vm", other.cid)
        daemon.cpi.ok("delete_vm", other.cid)
        # Once the hanging file system is gone, the VM is visited as before.
        servers[0].close()
        # A visit that comes back just now may still use it.
        intruder.run(vms[0], "/bin/busybox", "umount", "-l", "/dev")
        eventually(
            lambda: daemon.cpi.call("attach_disk", vms[0].cid, disks[0])["error"] is None,
            "the disk is attached",
            PATIENCE,
        )
        for vm, disk in zip(vms, disks, strict=True):
            daemon.cpi.ok("delete_vm", vm.cid)
            daemon.cpi.ok("delete_disk", disk)


@contextmanager
def held(directory: Path) -> Iterator[int]:
    """Open a directory whose file system may be frozen, and thaw it at the end."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield fd
    finally:
        with suppress(OSError):  # it is not frozen, as should be
            fcntl.ioctl(fd, FITHAW, 0)
        os.close(fd)


def test_a_frozen_disk(new_daemon: NewDaemon, tiny: Path) -> None:
    """A VM that freezes its own disk, and puts it where the daemon writes, does no harm."""
    daemon = new_daemon(config={"visit_timeout": VISIT_TIMEOUT}).start()
    stemcell = daemon.create_stemcell(tiny)
    vm = daemon.create_vm(stemcell, cloud_properties={"ephemeral_disk_size": 8})
    disk = daemon.cpi.ok("create_disk", 4, {}, None)
    data = intruder.root(vm) / "var/vcap/data"
    (data / "bosh").mkdir()
    (data / "sys/log").mkdir(parents=True)
    intruder.mount(vm, "-o", "bind", "/var/vcap/data/bosh", "/var/vcap/bosh")
    with held(data) as frozen:
        fcntl.ioctl(frozen, FIFREEZE, 0)
        daemon.cpi.ok("attach_disk", vm.cid, disk, version=1)
        fcntl.ioctl(frozen, FIFREEZE, 0)
        daemon.cpi.ok("reboot_vm", vm.cid)
        assert not (intruder.root(vm) / "var/vcap/data/sys").exists()
    daemon.cpi.ok("delete_vm", vm.cid)
    daemon.cpi.ok("delete_disk", disk)


def test_a_link_in_a_disks_place(new_daemon: NewDaemon, tiny: Path, lab: Lab) -> None:
    """A link in the place where a VM receives a disk is an error, and not followed."""
    config: dict[str, Any] = {"disks": {"driver": "directory"}}
    daemon = new_daemon(config=config).start()
    vm = daemon.create_vm(daemon.create_stemcell(tiny))
    outside = lab.home / "outside"
    outside.mkdir()
    disk = daemon.cpi.ok("create_disk", 4, {}, None)
    (intruder.root(vm) / "warden-cpi-dev" / disk).symlink_to(outside)
    error = daemon.cpi.error("attach_disk", vm.cid, disk)
    assert vm.cid in error["message"]
    assert not outside.is_mount()
    assert_serves(daemon)
    (intruder.root(vm) / "warden-cpi-dev" / disk).unlink()
    daemon.cpi.ok("attach_disk", vm.cid, disk)
    daemon.cpi.ok("detach_disk", vm.cid, disk)
    daemon.cpi.ok("delete_vm", vm.cid)
    daemon.cpi.ok("delete_disk", disk)
    outside.rmdir()


def test_a_disk_whose_place_is_gone(new_daemon: NewDaemon, tiny: Path) -> None:
    """A disk can be detached after the VM removed the place where it was mounted."""
    config: dict[str, Any] = {"disks": {"driver": "directory"}}
    daemon = new_daemon(config=config).start()
    vm = daemon.create_vm(daemon.create_stemcell(tiny))
    disk = daemon.cpi.ok("create_disk", 4, {}, None)
    daemon.cpi.ok("attach_disk", vm.cid, disk)
    place = f"/warden-cpi-dev/{disk}"
    vm.shell(f"mkdir /kept && mount -o bind {place} /kept && umount {place}")
    vm.shell(f"rmdir {place} && echo 1 >/kept/file")
    daemon.cpi.ok("detach_disk", vm.cid, disk)
    assert vm.attempt("/bin/cat", "/kept/file").returncode != 0
    assert_serves(daemon)
    daemon.cpi.ok("delete_vm", vm.cid)
    daemon.cpi.ok("delete_disk", disk)


def assert_serves(daemon: Daemon) -> None:
    """Check that the daemon answers."""
    daemon.cpi.ok("has_vm", "vm-none")
