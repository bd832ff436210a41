"""The daemon ends, by a stop or a crash, and starts again; VMs do not notice."""

from __future__ import annotations

import json
import shutil
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.harness import netns
from tests.harness.daemon import Daemon, vm_arguments
from tests.harness.lab import NewDaemon
from tests.harness.waiting import eventually
from tests.harness.wrapper import Wrapper


def is_clean(daemon: Daemon) -> bool:
    """Say whether nothing of any VM or unfinished work is left."""
    return not any(
        list((daemon.work_dir / name).iterdir()) for name in ("vms", "scratch", "runtime")
    )


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_vms_outlive_the_daemon(
    daemon: Daemon, kind: str, image: Callable[[str], Path], end: str
) -> None:
    """A VM runs on and answers without a daemon, and can be managed by the next one."""
    vm = daemon.create_vm(daemon.create_stemcell(image(kind)))
    vm.wait_for_agent()
    pid = vm.pid
    getattr(daemon, end)()
    assert vm.answer() == "agent-1"
    daemon.start()
    assert vm.pid == pid
    assert vm.is_alive()
    assert vm.answer() == "agent-1"
    assert daemon.cpi.ok("has_vm", vm.cid) is True
    daemon.cpi.ok("set_vm_metadata", vm.cid, {"a": "b"})
    daemon.cpi.ok("reboot_vm", vm.cid)
    assert vm.wait_for_agent() == "agent-1"


def test_empty_cgroups_of_vms_are_kept(daemon: Daemon, tiny: Path) -> None:
    """Empty cgroups that a VM made for its own use are not removed as leftovers."""
    vm = daemon.create_vm(daemon.create_stemcell(tiny))
    cgroups = vm.cgroups()
    inner = cgroups.get("pids", cgroups["unified"]) / "inner"
    inner.mkdir()
    daemon.stop()
    daemon.start()
    assert inner.is_dir()


def test_halted_vms_are_kept(daemon: Daemon, tiny: Path) -> None:
    """A VM that ended while no daemon ran still exists."""
    vm = daemon.create_vm(daemon.create_stemcell(tiny))
    vm.shell("echo 1 >/kept")
    daemon.stop()
    vm.attempt("/bin/busybox", "kill", "-9", "-1")
    daemon.start()
    assert daemon.cpi.ok("has_vm", vm.cid) is True
    daemon.cpi.ok("reboot_vm", vm.cid)
    assert vm.read("/kept") == "1\n"


@pytest.mark.parametrize("operation", ["create", "start"])
def test_killed_while_a_vm_is_made(
    new_daemon: NewDaemon, tmp_path: Path, tiny: Path, operation: str
) -> None:
    """
    If the daemon is killed during create_vm, the next start removes the rest; a retry
    works.
    """
    wrapper = Wrapper(tmp_path / "wrapper")
    daemon = new_daemon(config={"runtime": str(wrapper.program)}).start()
    stemcell = daemon.create_stemcell(tiny)
    wrapper.hold(operation)
    call = daemon.cpi.start("create_vm", *vm_arguments(stemcell))
    eventually(lambda: wrapper.is_waiting(operation), f"{operation} is called")
    daemon.kill()
    error = daemon.cpi.finish(call)["error"]
    assert error["type"] == "Bosh::Clouds::VMCreationFailed"
    assert error["ok_to_retry"] is True
    assert str(daemon.socket) in error["message"]
    wrapper.mend()
    daemon.start()
    eventually(lambda: is_clean(daemon), "nothing is left of the VM", 5)
    daemon.cpi.ok("delete_stemcell", stemcell)


@pytest.mark.parametrize("delay", [0.0, 0.01, 0.02, 0.03, 0.04, 0.06, 0.09])
def test_killed_at_any_time(daemon: Daemon, tiny: Path, delay: float) -> None:
    """If the daemon is killed at any moment of create_vm, the VM is whole or gone."""
    stemcell = daemon.create_stemcell(tiny)
    calls = [daemon.cpi.start("create_vm", *vm_arguments(stemcell)) for _ in range(3)]
    eventually(daemon.vm_cids, "the first directory of a VM")
    # This waits for nothing: it spreads the moment of the kill over the call.
    time.sleep(delay)
    daemon.kill()
    created = [daemon.cpi.finish(call)["result"] for call in calls]
    daemon.start()
    whole = {daemon.vm(result).cid for result in created if result}
    assert whole <= set(daemon.vm_cids())
    for vm_cid in daemon.vm_cids():
        assert daemon.cpi.ok("has_vm", vm_cid) is True
        daemon.cpi.ok("delete_vm", vm_cid)
    eventually(lambda: is_clean(daemon), "nothing is left of any VM", 5)
    assert daemon.create_vm(stemcell).address == daemon.network + "254"


@pytest.mark.parametrize("network_type", ["unix", "tcp"])
def test_killed_while_a_stemcell_is_made(
    new_daemon: NewDaemon, image: Callable[[str], Path], network_type: str
) -> None:
    """
    If the daemon is killed during create_stemcell, the next one clears up; a retry works.
    """
    daemon = new_daemon(network_type=network_type).start()
    call = daemon.cpi.start("create_stemcell", str(image("systemd")), {})
    eventually(lambda: list(daemon.scratch.glob("new-*/rootfs/*")), "unpacking began")
    daemon.kill()
    error = daemon.cpi.finish(call)["error"]
    assert error["type"] == "Bosh::Clouds::CloudError"
    assert error["ok_to_retry"] is True
    assert daemon.config["address"] in error["message"]
    daemon.start()
    eventually(lambda: is_clean(daemon), "nothing is left of the image", 5)
    assert not list((daemon.work_dir / "stemcells").iterdir())


def test_ended_while_a_vm_is_deleted(
    new_daemon: NewDaemon, tmp_path: Path, tiny: Path
) -> None:
    """A deletion that began before the daemon ended is finished by the next daemon."""
    wrapper = Wrapper(tmp_path / "wrapper")
    daemon = new_daemon(config={"runtime": str(wrapper.program)}).start()
    vm = daemon.create_vm(daemon.create_stemcell(tiny))
    wrapper.hold("delete")
    call = daemon.cpi.start("delete_vm", vm.cid)
    eventually(lambda: wrapper.is_waiting("delete"), "delete is called")
    daemon.kill()
    assert daemon.cpi.finish(call)["error"]["ok_to_retry"] is True
    wrapper.mend()
    daemon.start()
    assert daemon.cpi.ok("has_vm", vm.cid) is False
    eventually(lambda: is_clean(daemon), "nothing is left of the VM", 5)


def test_no_daemon(daemon: Daemon) -> None:
    """The error for a daemon that is down may be retried, and names the address."""
    daemon.stop()
    error = daemon.cpi.error("create_vm", *vm_arguments("stemcell"))
    assert error["type"] == "Bosh::Clouds::VMCreationFailed"
    assert error["ok_to_retry"] is True
    for method in ("ping", "has_vm", "create_stemcell"):
        arguments: dict[str, list[Any]] = {
            "has_vm": ["vm"],
            "create_stemcell": [__file__, {}],
        }
        error = daemon.cpi.error(method, *arguments.get(method, []))
        assert error["type"] == "Bosh::Clouds::CloudError"
        assert error["ok_to_retry"] is True
        assert str(daemon.socket) in error["message"]


def test_damaged_records(daemon: Daemon, tiny: Path) -> None:
    """A record that cannot be read is set aside and reported, and all else works."""
    stemcell = daemon.create_stemcell(tiny)
    vm, other = daemon.create_vm(stemcell), daemon.create_vm(stemcell)
    daemon.stop()
    record = other.directory / "vm.json"
    whole = record.read_text()
    newer = json.dumps({**json.loads(whole), "schema": 99})
    for content in ("", whole[: len(whole) // 2], "[]", "{}", newer):
        record.write_text(content)
        daemon.start()
        assert f"set {record} aside" in daemon.log
        assert daemon.cpi.ok("has_vm", vm.cid) is True
        for method in ("has_vm", "delete_vm", "reboot_vm", "get_disks"):
            error = daemon.cpi.error(method, other.cid)
            assert f"record of {other.cid} cannot be read" in error["message"]
        # No other VM gets what the set aside record may need.
        new = daemon.create_vm(stemcell)
        assert new.address not in (vm.address, other.address)
        daemon.cpi.ok("delete_vm", new.cid)
        error = daemon.cpi.error("delete_stemcell", stemcell)
        assert "in use by" in error["message"]
        spare = daemon.create_stemcell(tiny)
        assert other.cid in daemon.cpi.error("delete_stemcell", spare)["message"]
        assert other.is_alive()
        assert record.read_text() == content
        daemon.stop()
    record.write_text(whole)
    daemon.start()
    assert daemon.cpi.ok("has_vm", other.cid) is True


def test_records_of_the_first_version(daemon: Daemon, tiny: Path) -> None:
    """A newer daemon reads the records of an older one."""
    vm = daemon.create_vm(daemon.create_stemcell(tiny))
    daemon.stop()
    record = vm.directory / "vm.json"
    older = {**json.loads(record.read_text()), "schema": 1, "addresses": [vm.address]}
    del older["stopped"], older["nics"]
    record.write_text(json.dumps(older))
    daemon.start()
    daemon.cpi.ok("set_vm_metadata", vm.cid, {"a": "b"})
    assert json.loads(record.read_text())["schema"] == 6
    assert vm.is_alive()


def test_record_of_a_lost_stemcell(daemon: Daemon, tiny: Path) -> None:
    """A VM whose stemcell is lost does not keep the daemon from serving others."""
    stemcell = daemon.create_stemcell(tiny)
    vm = daemon.create_vm(stemcell)
    daemon.stop()
    place = daemon.work_dir / "stemcells" / stemcell
    aside = daemon.home / "aside"
    shutil.move(place, aside)
    daemon.start()
    assert daemon.cpi.ok("ping") == "pong"
    assert f"{vm.cid} cannot be booted again" in daemon.log
    assert daemon.cpi.ok("has_vm", vm.cid) is True
    assert stemcell in daemon.cpi.error("reboot_vm", vm.cid)["message"]
    daemon.stop()
    shutil.move(aside, place)
    daemon.start()
    daemon.cpi.ok("reboot_vm", vm.cid)
    daemon.stop()
    shutil.move(place, aside)
    daemon.start()
    daemon.cpi.ok("delete_vm", vm.cid)


def test_another_network(daemon: Daemon, tiny: Path) -> None:
    """VMs of a network that was configured before keep that, and can be deleted."""
    stemcell = daemon.create_stemcell(tiny)
    vm = daemon.create_vm(stemcell)
    daemon.stop()
    before, daemon.config["cidr"] = daemon.config["cidr"], "10.78.0.0/24"
    daemon.write_config()
    daemon.start()
    assert daemon.cpi.ok("has_vm", vm.cid) is True
    assert vm.is_alive()
    other = daemon.create_vm(stemcell)
    assert other.address == "10.78.0.254"
    for one in (vm, other):
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((one.address, 9), timeout=5)
    daemon.cpi.ok("delete_vm", vm.cid)
    assert netns.bridges_of(daemon.cgroup) == {daemon.config["bridge"]}
    daemon.config["cidr"] = before


def test_a_vm_that_was_not_deleted_whole(
    new_daemon: NewDaemon, tmp_path: Path, tiny: Path
) -> None:
    """A VM whose deletion failed half way can only be deleted again."""
    wrapper = Wrapper(tmp_path / "wrapper")
    daemon = new_daemon(config={"runtime": str(wrapper.program)}).start()
    vm = daemon.create_vm(daemon.create_stemcell(tiny))
    wrapper.fail("delete", "not today")
    assert "not today" in daemon.cpi.error("delete_vm", vm.cid)["message"]
    error = daemon.cpi.error("set_vm_metadata", vm.cid, {"a": "b"})
    assert f"{vm.cid} was not deleted whole" in error["message"]
    assert not (vm.directory / "vm.json").exists()
    wrapper.mend()
    daemon.cpi.ok("delete_vm", vm.cid)


def test_calls_wait_for_a_daemon_that_starts(daemon: Daemon, tiny: Path) -> None:
    """A call during the daemon's start waits, and is answered."""
    vm = daemon.create_vm(daemon.create_stemcell(tiny))
    daemon.kill()
    daemon.launch()
    eventually(daemon.socket.is_socket, "there is a socket", 20)

    def answered() -> bool:
        answer = daemon.cpi.call("has_vm", vm.cid)
        if answer["error"]:
            # The socket of the daemon that was killed.
            assert answer["error"]["ok_to_retry"] is True
            return False
        assert answer["result"] is True
        return True

    eventually(answered, "the call is answered", 20)
