"""What every VM goes through."""

from __future__ import annotations

from tests.functional.disks.site import loop_of
from tests.harness.agent import STORE, Agent
from tests.harness.daemon import Daemon
from tests.harness.vm import VM

READ = "dd if=/root/device of=/dev/null count=1"


def live(daemon: Daemon, vm: VM) -> None:
    """A VM comes up, gets and loses a disk, is rebooted, and is deleted."""
    assert vm.wait_for_agent() == "agent-1"
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
