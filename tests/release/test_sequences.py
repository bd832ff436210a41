"""
The calls of a director, one by one, to a real daemon.

Their order, and what is done between them, are the director's. Each call is an C{info} and
the method, in processes of their own with the environment that the caller gives.
"""

from __future__ import annotations

import json

import pytest

from tests.harness.certificates import Authority
from tests.harness.daemon import AGENT, manual
from tests.harness.lab import NewDaemon
from tests.harness.vm import SETTINGS
from tests.release.callers import Director
from tests.release.sites import DISK, ENV, LARGER, MBUS, VIP, Site

# What directors send as env, today and maybe later.
WHOLE_ENV = {
    "bosh": {
        "mbus": {"cert": {"ca": "CA\n", "certificate": "C\n", "private_key": "K\n"}},
        "blobstores": [{"provider": "dav", "options": {"endpoint": "https://192.0.2.3"}}],
        "ntp": ["time.example"],
        "password": "$6$salt$hash",
        "keep_root_password": True,
        "remove_dev_tools": True,
        "authorized_keys": ["ssh-ed25519 AAAA"],
        "tags": {"owner": "me"},
        "group": "d-j",
        "groups": ["d", "d-j"],
        "swap_size": 0,
        "parallel": 5,
    },
    "persistent_disk_fs": "ext4",
    "unheard_of": [None, 1.5, {"\u2603": "x" * 70000}],
}


def test_deploy(director: Site) -> None:
    """
    A deployment works: a VM to compile on, an instance with a disk, and their deletion.
    """
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
    """Recreation with snapshots on detaches the disk and attaches it to the new VM."""
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
    """
    With the setting of runc-cpi.yml a disk grows while detached, and nothing is copied.
    """
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
    """By default a disk is migrated, and the old disk is kept as an orphan."""
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
    """With hot swap the new VM is made beside the old one, and takes over its disk."""
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
    """cloud-check reboots a VM whose agent is silent, and the VM has its disk again."""
    calls = director.calls
    agent = director.create_vm(director.create_stemcell())
    disk_cid = director.create_disk(agent)
    agent.write("data")
    agent.vm.attempt("kill", "-9", "-1")
    assert calls.ok("has_vm", agent.vm.cid) is True
    calls.ok("reboot_vm", agent.vm.cid)
    assert agent.vm.wait_for_agent() == "agent-1"
    # The agent does not mount it at its start; the daemon does.
    assert agent.list_disk() == [disk_cid]
    assert agent.read() == "data"
    # The agent would not start without a disk that it looks for.
    director.detach_disk(agent, disk_cid)
    calls.ok("reboot_vm", agent.vm.cid)
    assert agent.vm.wait_for_agent() == "agent-1"
    assert agent.managed_disk() is None
    agent.start()
    calls.ok("delete_vm", agent.vm.cid)
    calls.ok("delete_disk", disk_cid)


def test_cloud_check_recreates(director: Site) -> None:
    """cloud-check recreates a VM whose agent is silent, while its disk is mounted."""
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
    # cloud-check next deletes a reference to a disk that is elsewhere, or nowhere.
    director.detach_disk(agent, disk_cid)
    error = calls.error("detach_disk", agent.vm.cid, disk_cid)
    assert error["type"] == "Bosh::Clouds::DiskNotAttached"
    calls.ok("delete_disk", disk_cid)
    assert calls.ok("has_disk", disk_cid) is False
    calls.ok("delete_vm", agent.vm.cid)
    # It deletes a reference to a VM, too.
    assert calls.ok("has_vm", agent.vm.cid) is False


def test_cloud_check_attaches_again(director: Site) -> None:
    """cloud-check attaches and mounts a disk that the agent does not report."""
    agent = director.create_vm(director.create_stemcell())
    disk_cid = director.create_disk(agent)
    agent.write("data")
    agent.unmount_disk(disk_cid)
    assert agent.list_disk() == []
    director.attach_disk(agent, disk_cid)
    assert agent.read() == "data"
    # Or cloud-check attaches it again, although it is attached, and reboots the VM.
    director.calls.ok("attach_disk", agent.vm.cid, disk_cid)
    director.calls.ok("set_disk_metadata", disk_cid, {"attached_at": "now"})
    director.calls.ok("reboot_vm", agent.vm.cid)
    agent.vm.wait_for_agent()
    assert (agent.list_disk(), agent.read()) == ([disk_cid], "data")
    director.calls.ok("delete_vm", agent.vm.cid)
    director.calls.ok("delete_disk", disk_cid)


def test_vm_resources(director: Site) -> None:
    """The vm_resources of an instance group become properties that create_vm takes."""
    wanted = {"cpu": 1, "ram": 256, "ephemeral_disk_size": 128}
    found = director.calls.ok("calculate_vm_cloud_properties", wanted)
    network = {"default": manual(f"{director.daemon.network}4")}
    stemcell_cid = director.create_stemcell()
    arguments = ["a", stemcell_cid, found, network, [], ENV]
    vm_cid, _ = director.calls.ok("create_vm", *arguments)
    director.calls.ok("delete_vm", vm_cid)


def test_dynamic_disk(director: Site) -> None:
    """A dynamic disk is attached beside the store's disk, and detached alone."""
    calls = director.calls
    agent = director.create_vm(director.create_stemcell())
    store = director.create_disk(agent)
    agent.write("data")
    disk_cid = calls.ok("create_disk", DISK, {"name": "dynamic"}, agent.vm.cid)
    # The agent makes a link to it, and a job uses it as it likes.
    device = calls.ok("attach_disk", agent.vm.cid, disk_cid)
    agent.vm.shell(f"test -b {device}; dd if={device} of=/dev/null bs=4096 count=1")
    assert set(calls.ok("get_disks", agent.vm.cid)) == {store, disk_cid}
    calls.ok("detach_disk", agent.vm.cid, disk_cid)
    agent.vm.shell(f"test ! -e {device}")
    assert calls.ok("has_disk", disk_cid) is True
    calls.ok("delete_disk", disk_cid)
    assert calls.ok("has_disk", disk_cid) is False
    assert (agent.list_disk(), agent.read()) == ([store], "data")
    calls.ok("delete_vm", agent.vm.cid)
    calls.ok("delete_disk", store)


def test_migration_fails(director: Site) -> None:
    """
    If a migration fails, the new disk becomes an orphan, and the old one stays in use.
    """
    calls = director.calls
    agent = director.create_vm(director.create_stemcell())
    old_cid = director.create_disk(agent)
    agent.write("data")
    new_cid = director.create_disk(agent, LARGER)
    director.detach_disk(agent, new_cid)
    assert (agent.list_disk(), agent.read()) == ([old_cid], "data")
    calls.ok("delete_disk", new_cid)
    calls.ok("delete_vm", agent.vm.cid)
    calls.ok("delete_disk", old_cid)


def test_two_hosts(director: Site, new_daemon: NewDaemon) -> None:
    """An entry of a cpi-config sends its own calls to another daemon."""
    authority = Authority("hosts")
    server = authority.issue("runc-cpid", "127.0.0.1")
    second = new_daemon(network_type="tcp", config={"tls": server}).start()
    calls = director.calls
    assert isinstance(calls, Director)
    here = director.create_vm(director.create_stemcell()).vm
    calls.properties = {
        "network_type": "tcp",
        "address": second.config["address"],
        "tls": authority.issue("director"),
        "agent": {"ntp": ["192.0.2.7"]},
    }
    assert calls.ok("has_vm", here.cid) is False
    there = Site(calls, second, director.image)
    vm = there.create_vm(there.create_stemcell()).vm
    assert second.vm_cids() == [vm.cid]
    settings = json.loads(vm.read(SETTINGS))
    assert (settings["mbus"], settings["ntp"]) == (MBUS, ["192.0.2.7"])
    calls.ok("delete_vm", vm.cid)
    calls.properties = {}
    assert calls.ok("has_vm", here.cid) is True
    calls.ok("delete_vm", here.cid)


def test_agent_settings(director: Site) -> None:
    """All agent settings of the manifest reach the agent unchanged."""
    assert isinstance(director.calls, Director)
    director.calls.properties = {"agent": AGENT}
    networks = {
        "default": manual(f"{director.daemon.network}4", prefix="32", dns=["192.0.2.53"]),
        "public": {"type": "vip", "ip": VIP, "cloud_properties": {}},
    }
    arguments = ["a", director.create_stemcell(), {}, networks, [], WHOLE_ENV]
    vm = director.daemon.vm(director.calls.ok("create_vm", *arguments))
    settings = json.loads(vm.read(SETTINGS))
    assert settings["env"] == WHOLE_ENV
    assert {key: settings[key] for key in AGENT} == AGENT
    assert (settings["agent_id"], settings["vm"]["name"]) == ("a", vm.cid)
    told = settings["networks"]
    set_up = {"mac": "02:42:0a:4d", "use_dhcp": False, "preconfigured": True}
    told["default"]["mac"] = told["default"]["mac"][:11]
    assert told["default"] == {**networks["default"], **set_up}
    assert told["public"] == networks["public"]
    director.calls.ok("delete_vm", vm.cid)
