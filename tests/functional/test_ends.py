"""VMs that end by themselves: the record says so, and some are booted again."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from tests.harness import images
from tests.harness.daemon import Daemon
from tests.harness.host import reboot_host
from tests.harness.lab import NewDaemon
from tests.harness.vm import VM
from tests.harness.waiting import eventually

UNTIL_HALT = "#!/bin/sh\nwhile [ ! -e /halt ]; do sleep 0.1; done\n"


def crash(vm: VM) -> None:
    """Kill a VM's first process, and so the VM."""
    os.kill(vm.pid, signal.SIGKILL)
    eventually(lambda: not vm.is_alive(), "the VM is down")


def is_noted(vm: VM) -> bool:
    """Say whether the record has the VM as stopped."""
    stopped: bool = json.loads((vm.directory / "vm.json").read_text())["stopped"]
    return stopped


def test_it_is_noticed(daemon: Daemon, tiny: Path) -> None:
    """A VM that ended by itself still exists, and reboot_vm starts it."""
    vm = daemon.create_vm(daemon.create_stemcell(tiny))
    crash(vm)
    eventually(lambda: is_noted(vm), "it is noted")
    assert f"the first process of {vm.cid} was ended by signal 9" in daemon.log
    assert daemon.cpi.ok("has_vm", vm.cid) is True
    shown = json.loads(daemon.control("vm", "show", vm.cid, "-o", "json"))
    assert (shown["state"], shown["end"]["signal"]) == ("ended", signal.SIGKILL)
    daemon.cpi.ok("reboot_vm", vm.cid)
    assert vm.is_alive()
    assert not is_noted(vm)


def test_only_who_ran_comes_back(daemon: Daemon, tiny: Path) -> None:
    """A VM that was down before a reboot of the host is down after it."""
    stemcell = daemon.create_stemcell(tiny)
    up, down = daemon.create_vm(stemcell), daemon.create_vm(stemcell)
    crash(down)
    eventually(lambda: is_noted(down), "it is noted")
    reboot_host(daemon)
    daemon.start()
    eventually(lambda: f"brought back {up.cid}" in daemon.log, "it is up again", 20)
    assert up.is_alive()
    assert not down.is_alive()
    daemon.cpi.ok("reboot_vm", down.cid)
    assert down.is_alive()


def test_who_ended_while_there_was_no_daemon(daemon: Daemon, tiny: Path) -> None:
    """A daemon that starts notes which VMs ended while no daemon ran."""
    vm = daemon.create_vm(daemon.create_stemcell(tiny))
    daemon.stop()
    crash(vm)
    daemon.start()
    noted = f"noted that {vm.cid} has ended"
    eventually(lambda: noted in daemon.log, "it is noted")
    assert is_noted(vm)


@pytest.mark.parametrize("daemon_is_there", [True, False])
def test_restart_on_failure(
    new_daemon: NewDaemon, tiny: Path, daemon_is_there: bool
) -> None:
    """
    With C{restart: on-failure} the daemon boots the VM again, with its files and address.
    """
    daemon = new_daemon(config={"restart": "on-failure"}).start()
    vm = daemon.create_vm(daemon.create_stemcell(tiny))
    vm.shell("echo 1 >/kept")
    pid = vm.pid
    if daemon_is_there:
        crash(vm)
    else:
        daemon.stop()
        crash(vm)
        daemon.start()
    eventually(lambda: vm.pid != pid and vm.is_alive(), "it is up again", 20)
    eventually(lambda: f"brought back {vm.cid}" in daemon.log, "it is said")
    assert vm.read("/kept") == "1\n"
    assert not is_noted(vm)


def test_a_halt_is_no_failure(
    new_daemon: NewDaemon, busybox: bytes, tmp_path: Path
) -> None:
    """A VM whose init exits with status 0 is not booted again."""
    image = tmp_path / "image"
    image.write_bytes(images.tiny(busybox, UNTIL_HALT))
    daemon = new_daemon(config={"restart": "on-failure"}).start()
    vm = daemon.create_vm(daemon.create_stemcell(image))
    vm.shell("echo >/halt")
    eventually(lambda: not vm.is_alive(), "the VM has halted")
    eventually(lambda: is_noted(vm), "it is noted", 15)
    assert "ended with status 0" in daemon.log


def test_a_vm_that_is_deleted_is_not_missed(new_daemon: NewDaemon, tiny: Path) -> None:
    """A VM that is deleted or rebooted on request is not taken for one that failed."""
    daemon = new_daemon(config={"restart": "on-failure"}).start()
    vm = daemon.create_vm(daemon.create_stemcell(tiny))
    daemon.cpi.ok("reboot_vm", vm.cid)
    daemon.cpi.ok("delete_vm", vm.cid)
    assert "the first process" not in daemon.log
