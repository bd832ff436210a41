"""A host with cgroup v2 alone, as far as this kernel can be one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.functional.disks.site import loop_of
from tests.harness.agent import STORE, Agent
from tests.harness.daemon import Daemon, vm_arguments
from tests.harness.lab import NewDaemon
from tests.harness.vm import VM

# Controllers that v1 has are missing in v2; all else is as on a host with v2 alone.
ALONE = 'umount -R /sys/fs/cgroup && mount -t cgroup2 cgroup2 /sys/fs/cgroup && exec "$@"'
READ = "dd if=/root/device of=/dev/null count=1"
IN_V2 = ("unshare", "--mount", "--propagation", "slave", "sh", "-c", ALONE, "v2")


@pytest.fixture
def daemon(new_daemon: NewDaemon) -> Daemon:
    """A daemon that sees only the hierarchy of cgroup v2."""
    daemon = new_daemon()
    daemon.launch(prefix=IN_V2)
    daemon.wait_until(lambda: "serving at" in daemon.log)
    return daemon


def there(daemon: Daemon) -> tuple[str, ...]:
    """The prefix that runs a command where the daemon is."""
    assert daemon.process is not None
    return ("nsenter", f"--mount=/proc/{daemon.process.pid}/ns/mnt")


def test_life(daemon: Daemon, kind: str, image: Callable[[str], Path]) -> None:
    """With cgroup v2 a VM boots, gets and loses a disk, is rebooted, and leaves nothing."""
    arguments = vm_arguments(daemon.create_stemcell(image(kind)))
    vm_cid, networks = daemon.cpi.ok("create_vm", *arguments)
    vm = VM(vm_cid, networks, daemon.work_dir, there(daemon))
    assert vm.wait_for_agent() == "agent-1"
    told = Path(f"/proc/{vm.pid}/cgroup").read_text().splitlines()
    assert f"0::/{daemon.cgroup}/{vm.cid}" in "\n".join(told)
    disk = daemon.cpi.ok("create_disk", 16, {}, vm.cid)
    hint = daemon.cpi.ok("attach_disk", vm.cid, disk)
    device = loop_of(daemon.work_dir / "disks" / disk / "image")
    assert device is not None
    vm.run("mknod", "/root/device", "b", "7", device.removeprefix("loop"))
    vm.shell(READ)
    agent = Agent(vm)
    agent.add_persistent_disk(disk, hint)
    assert agent.mount_disk(disk) == STORE
    vm.shell(f"echo kept >{STORE}/file")
    daemon.cpi.ok("reboot_vm", vm.cid)
    assert vm.wait_for_agent() == "agent-1"
    assert vm.read(f"{STORE}/file") == "kept\n"
    daemon.cpi.ok("detach_disk", vm.cid, disk)
    refused = vm.attempt("sh", "-c", READ)
    assert "not permitted" in refused.stderr, refused
    daemon.cpi.ok("delete_vm", vm.cid)
    daemon.cpi.ok("delete_disk", disk)


FREEZE = (
    "exec >/dev/null 2>&1; mkdir /sys/fs/cgroup/ice; cd /sys/fs/cgroup/ice; "
    "sleep 100000 & echo $! >cgroup.procs; echo 1 >cgroup.freeze"
)


def test_frozen(daemon: Daemon, tiny: Path) -> None:
    """With cgroup v2 a VM that froze its cgroups is deleted all the same."""
    arguments = vm_arguments(daemon.create_stemcell(tiny))
    vm_cid, networks = daemon.cpi.ok("create_vm", *arguments)
    vm = VM(vm_cid, networks, daemon.work_dir, there(daemon))
    vm.shell(FREEZE)
    daemon.cpi.ok("delete_vm", vm.cid)
    assert not vm.directory.exists()
