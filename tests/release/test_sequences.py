"""
What a director asks for, call by call, against a real daemon.

The order of calls and what is between them is theirs. Each call is an C{info} and the
method, in processes of their own with the environment that the caller gives.
"""

from __future__ import annotations

import pytest

from tests.harness.daemon import manual
from tests.harness.lab import NewDaemon
from tests.release.callers import Director
from tests.release.sites import ENV, LARGER, Site


def test_deploy(director: Site) -> None:
    """A VM to compile on, an instance with a disk, and all is deleted."""
    calls = director.calls
    stemcell_cid = director.create_stemcell()
    compiler = director.create_vm(stemcell_cid, host=5)
    calls.ok("set_vm_metadata", compiler.vm.cid, {"compiling": "package"})
    calls.ok("delete_vm", compiler.vm.cid)
    agent = director.create_vm(stemcell_cid)
    assert agent.list_disk() == []
    disk_cid = director.create_disk(agent)
    agent.write("data")
    assert director.told() == [
        "create_stemcell", "create_vm", "set_vm_metadata", "set_vm_metadata", "delete_vm",
        "create_vm", "set_vm_metadata", "create_disk", "attach_disk", "set_disk_metadata",
    ]  # fmt: skip
    # delete-deployment and clean-up: the disk is an orphan for a while.
    director.detach_disk(agent, disk_cid)
    calls.ok("delete_vm", agent.vm.cid)
    assert calls.ok("has_disk", disk_cid) is True
    calls.ok("delete_disk", disk_cid)
    assert calls.ok("has_disk", disk_cid) is False
    calls.ok("delete_stemcell", stemcell_cid)


def test_recreate(director: Site) -> None:
    """With snapshots on: the disk is kept, detached, and attached to the new VM."""
    calls = director.calls
    stemcell_cid = director.create_stemcell()
    agent = director.create_vm(stemcell_cid)
    disk_cid = director.create_disk(agent)
    agent.write("data")
    snapshot_cid = calls.ok("snapshot_disk", disk_cid, {"deployment": "d"})
    assert calls.ok("get_disks", agent.vm.cid) == [disk_cid]
    director.detach_disk(agent, disk_cid)
    assert calls.ok("get_disks", agent.vm.cid) == []
    calls.ok("delete_vm", agent.vm.cid)
    agent = director.create_vm(stemcell_cid, disk_cid)
    director.attach_disk(agent, disk_cid)
    assert agent.read() == "data"
    calls.ok("delete_vm", agent.vm.cid)
    calls.ok("delete_snapshot", snapshot_cid)
    calls.ok("delete_disk", disk_cid)


@pytest.mark.parametrize("method", ["resize_disk", "update_disk"])
def test_disk_grows_where_it_is(director: Site, method: str) -> None:
    """As runc-cpi.yml has the director do it: detached, with nothing copied."""
    calls = director.calls
    agent = director.create_vm(director.create_stemcell())
    disk_cid = director.create_disk(agent)
    agent.write("data")
    small = agent.size()
    director.detach_disk(agent, disk_cid)
    if method == "resize_disk":
        calls.ok("resize_disk", disk_cid, LARGER)
    else:
        calls.ok("update_disk", disk_cid, LARGER, {})
    director.attach_disk(agent, disk_cid)
    assert agent.read() == "data"
    assert agent.size() > small
    calls.ok("delete_vm", agent.vm.cid)
    calls.ok("delete_disk", disk_cid)


def test_disk_is_migrated(director: Site) -> None:
    """The default way, with the old disk kept as an orphan."""
    agent = director.create_vm(director.create_stemcell())
    old_cid = director.create_disk(agent)
    agent.write("data")
    small = agent.size()
    new_cid = director.migrate(agent, old_cid, LARGER)
    assert agent.read() == "data"
    assert agent.size() > small
    director.calls.ok("delete_vm", agent.vm.cid)
    for disk_cid in (old_cid, new_cid):
        assert director.calls.ok("has_disk", disk_cid) is True
        director.calls.ok("delete_disk", disk_cid)


def test_hot_swap(director: Site) -> None:
    """The new VM is made beside the old one, and takes over its disk."""
    stemcell_cid = director.create_stemcell()
    old = director.create_vm(stemcell_cid)
    disk_cid = director.create_disk(old)
    old.write("data")
    new = director.create_vm(stemcell_cid, host=5)
    director.detach_disk(old, disk_cid)
    director.attach_disk(new, disk_cid)
    assert new.read() == "data"
    for agent in (old, new):
        director.calls.ok("delete_vm", agent.vm.cid)
    director.calls.ok("delete_disk", disk_cid)


def test_cloud_check_reboots(director: Site) -> None:
    """An agent that is silent: the VM is there, is rebooted, and has its disk."""
    calls = director.calls
    agent = director.create_vm(director.create_stemcell())
    disk_cid = director.create_disk(agent)
    agent.write("data")
    agent.vm.attempt("kill", "-9", "-1")
    assert calls.ok("has_vm", agent.vm.cid) is True
    calls.ok("reboot_vm", agent.vm.cid)
    assert agent.vm.wait_for_agent() == "agent-1"
    # The agent does not mount it at its start; the daemon sees to it.
    assert agent.list_disk() == [disk_cid]
    assert agent.read() == "data"
    # Without the disk, the agent would not start if it looked for it.
    director.detach_disk(agent, disk_cid)
    calls.ok("reboot_vm", agent.vm.cid)
    assert agent.vm.wait_for_agent() == "agent-1"
    assert agent.last_mounted() == ""
    calls.ok("delete_vm", agent.vm.cid)
    calls.ok("delete_disk", disk_cid)


def test_cloud_check_recreates(director: Site) -> None:
    """The VM is deleted as it is, with its disk mounted and an agent that is silent."""
    calls = director.calls
    stemcell_cid = director.create_stemcell()
    agent = director.create_vm(stemcell_cid)
    disk_cid = director.create_disk(agent)
    agent.write("data")
    agent.vm.shell("sync")
    agent.vm.attempt("kill", "-9", "-1")
    assert calls.ok("has_vm", agent.vm.cid) is True
    calls.ok("delete_vm", agent.vm.cid)
    agent = director.create_vm(stemcell_cid, disk_cid)
    director.attach_disk(agent, disk_cid)
    assert agent.read() == "data"
    # A reference to a disk that is elsewhere, or nowhere, is deleted next.
    director.detach_disk(agent, disk_cid)
    error = calls.error("detach_disk", agent.vm.cid, disk_cid)
    assert error["type"] == "Bosh::Clouds::DiskNotAttached"
    calls.ok("delete_disk", disk_cid)
    assert calls.ok("has_disk", disk_cid) is False
    calls.ok("delete_vm", agent.vm.cid)
    # And so is a reference to a VM.
    assert calls.ok("has_vm", agent.vm.cid) is False


def test_cloud_check_attaches_again(director: Site) -> None:
    """A disk that the agent does not report is attached once more, and mounted."""
    agent = director.create_vm(director.create_stemcell())
    disk_cid = director.create_disk(agent)
    agent.write("data")
    agent.unmount_disk(disk_cid)
    assert agent.list_disk() == []
    director.attach_disk(agent, disk_cid)
    assert agent.read() == "data"
    director.calls.ok("delete_vm", agent.vm.cid)
    director.calls.ok("delete_disk", disk_cid)


def test_vm_resources(director: Site) -> None:
    """What an instance group asks for becomes properties that create_vm takes."""
    wanted = {"cpu": 1, "ram": 256, "ephemeral_disk_size": 128}
    found = director.calls.ok("calculate_vm_cloud_properties", wanted)
    network = {"default": manual(f"{director.daemon.network}4")}
    stemcell_cid = director.create_stemcell()
    arguments = ["a", stemcell_cid, found, network, [], ENV]
    vm_cid, _ = director.calls.ok("create_vm", *arguments)
    director.calls.ok("delete_vm", vm_cid)


def test_two_hosts(director: Site, new_daemon: NewDaemon) -> None:
    """An entry of a cpi-config leads to another daemon, for its calls alone."""
    second = new_daemon(network_type="tcp").start()
    calls = director.calls
    assert isinstance(calls, Director)
    here = director.create_vm(director.create_stemcell()).vm
    calls.properties = {"network_type": "tcp", "address": second.config["address"]}
    assert calls.ok("has_vm", here.cid) is False
    there = Site(calls, second, director.image)
    vm = there.create_vm(there.create_stemcell()).vm
    assert second.vm_cids() == [vm.cid]
    calls.ok("delete_vm", vm.cid)
    calls.properties = {}
    assert calls.ok("has_vm", here.cid) is True
    calls.ok("delete_vm", here.cid)
