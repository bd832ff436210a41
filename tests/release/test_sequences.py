"""
What the bosh CLI and the director ask for, call by call, against a real daemon.

The order of calls and what is between them is theirs. Each call is an C{info} and the
method, in processes of their own with the environment that the caller gives.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.harness.daemon import Daemon, manual
from tests.harness.lab import NewDaemon
from tests.release.agent import Agent
from tests.release.callers import CLI, Caller, Director
from tests.release.vcap import sandboxed

Install = Callable[[Mapping[str, Any]], Path]
MBUS = "https://mbus:secret@0.0.0.0:6868"
STEMCELL = {"name": "warden", "version": "1", "infrastructure": "warden"}
ENV = {"bosh": {"mbus": {"cert": {"ca": "CA"}}, "password": "*", "tags": {}}}
DISK = 64
LARGER = 96


class Site:
    """
    A caller with the daemon it reaches, and what both of them know.

    @ivar calls: the caller.
    @ivar daemon: the daemon.
    """

    def __init__(self, calls: Caller, daemon: Daemon, image: Path) -> None:
        self.calls, self.daemon, self._image = calls, daemon, image
        self._agents = 0

    def create_stemcell(self) -> str:
        """Import a stemcell with the arguments of the caller's version."""
        tags = [{"tags": {}}] if self.calls.version == 3 else []
        cid: str = self.calls.ok("create_stemcell", str(self._image), STEMCELL, *tags)
        return cid

    def create_vm(self, stemcell_cid: str, *disk_cids: str, host: int = 4) -> Agent:
        """Make a VM, as both do: its disks are hints, and metadata follow."""
        self._agents += 1
        agent_id = f"agent-{self._agents}"
        network = manual(f"{self.daemon.network}{host}", default=["dns", "gateway"])
        arguments = [agent_id, stemcell_cid, {}, {"default": network}, [*disk_cids], ENV]
        agent = Agent(self.daemon.vm(self.calls.ok("create_vm", *arguments)))
        metadata = {"deployment": "d", "job": "j", "index": "0", "name": "j/0"}
        self.calls.ok("set_vm_metadata", agent.vm.cid, metadata)
        assert agent.vm.wait_for_agent() == agent_id
        return agent

    def attach_disk(self, agent: Agent, disk_cid: str) -> None:
        """Attach a disk, and have the agent mount it."""
        hint = self.calls.ok("attach_disk", agent.vm.cid, disk_cid)
        metadata = {"deployment": "d", "instance_index": "0", "attached_at": "now"}
        if isinstance(self.calls, Director):
            agent.add_persistent_disk(disk_cid, hint)
            self.calls.ok("set_disk_metadata", disk_cid, metadata)
        else:
            self.calls.ok("set_disk_metadata", disk_cid, metadata)
            agent.vm.wait_for_agent()
            agent.add_persistent_disk(disk_cid, hint)
        agent.mount_disk(disk_cid)
        assert disk_cid in agent.list_disk()

    def detach_disk(self, agent: Agent, disk_cid: str) -> None:
        """Have the agent unmount a disk, and detach it."""
        if disk_cid in agent.list_disk():
            agent.unmount_disk(disk_cid)
        agent.remove_persistent_disk(disk_cid)
        self.calls.ok("detach_disk", agent.vm.cid, disk_cid)
        agent.vm.wait_for_agent()

    def create_disk(self, agent: Agent, size: int = DISK) -> str:
        """Make a disk and attach it."""
        cid: str = self.calls.ok("create_disk", size, {}, agent.vm.cid)
        self.attach_disk(agent, cid)
        return cid

    def migrate(self, agent: Agent, disk_cid: str, size: int) -> str:
        """Change a disk's size the way that works with every CPI, by copying."""
        new_cid = self.create_disk(agent, size)
        agent.migrate_disk()
        self.detach_disk(agent, disk_cid)
        assert agent.list_disk() == [new_cid]
        return new_cid

    def told(self) -> list[str]:
        """Return the methods called since the last time."""
        methods, self.calls.methods = self.calls.methods, []
        return methods


def properties(daemon: Daemon) -> dict[str, Any]:
    """Return the properties that lead to a daemon."""
    address = {"network_type": "tcp", "address": daemon.config["address"]}
    return {"runc_cpi": address, "agent": {"mbus": MBUS}}


@pytest.fixture
def cli(install: Install, compiled: Path, daemon: Daemon, image: Path) -> Site:
    """The bosh CLI."""
    return Site(CLI(install(properties(daemon)), compiled), daemon, image)


@pytest.fixture
def director(install: Install, compiled: Path, daemon: Daemon, image: Path) -> Site:
    """A director."""
    argv = sandboxed(compiled, install(properties(daemon)))
    bin_cpi = "/var/vcap/jobs/runc_cpi/bin/cpi"
    return Site(Director([*argv, bin_cpi]), daemon, image)


FIRST = [
    "create_stemcell", "create_vm", "set_vm_metadata",
    "create_disk", "attach_disk", "set_disk_metadata",
]  # fmt: skip


def test_create_env(cli: Site) -> None:
    """The first time, another VM, another size of its disk, and to the end."""
    calls = cli.calls
    # The first time.
    old_stemcell = cli.create_stemcell()
    agent = cli.create_vm(old_stemcell)
    disk_cid = cli.create_disk(agent)
    agent.write("first")
    assert cli.told() == FIRST

    # With another stemcell: the VM is deleted with the disk attached.
    stemcell_cid = cli.create_stemcell()
    assert calls.ok("has_vm", agent.vm.cid) is True
    agent.unmount_disk(disk_cid)
    calls.ok("delete_vm", agent.vm.cid)
    agent = cli.create_vm(stemcell_cid, disk_cid)
    cli.attach_disk(agent, disk_cid)
    assert agent.read() == "first"
    calls.ok("delete_stemcell", old_stemcell)
    assert cli.told() == [
        "create_stemcell", "has_vm", "delete_vm", "create_vm", "set_vm_metadata",
        "attach_disk", "set_disk_metadata", "delete_stemcell",
    ]  # fmt: skip

    # With another size: two disks are attached for a while.
    assert calls.ok("has_vm", agent.vm.cid) is True
    agent.unmount_disk(disk_cid)
    calls.ok("delete_vm", agent.vm.cid)
    agent = cli.create_vm(stemcell_cid, disk_cid)
    cli.attach_disk(agent, disk_cid)
    small = agent.size()
    new_cid = cli.migrate(agent, disk_cid, LARGER)
    calls.ok("delete_disk", disk_cid)
    assert agent.read() == "first"
    assert agent.size() > small
    assert cli.told() == [
        "has_vm", "delete_vm", "create_vm", "set_vm_metadata",
        "attach_disk", "set_disk_metadata",
        "create_disk", "attach_disk", "set_disk_metadata",
        "detach_disk", "delete_disk",
    ]  # fmt: skip

    # delete-env.
    assert calls.ok("has_vm", agent.vm.cid) is True
    agent.unmount_disk(new_cid)
    calls.ok("delete_vm", agent.vm.cid)
    calls.ok("delete_disk", new_cid)
    calls.ok("delete_stemcell", stemcell_cid)


def test_create_env_with_the_vm_gone(cli: Site) -> None:
    """The CLI deletes a VM even if has_vm says that it is not there."""
    stemcell_cid = cli.create_stemcell()
    agent = cli.create_vm(stemcell_cid)
    disk_cid = cli.create_disk(agent)
    agent.write("kept")
    agent.unmount_disk(disk_cid)
    cli.calls.ok("delete_vm", agent.vm.cid)
    assert cli.calls.ok("has_vm", agent.vm.cid) is False
    answer = cli.calls.call("delete_vm", agent.vm.cid)
    assert (answer["error"] or {}).get("type") in (None, "Bosh::Clouds::VMNotFound")
    agent = cli.create_vm(stemcell_cid, disk_cid)
    cli.attach_disk(agent, disk_cid)
    assert agent.read() == "kept"
    cli.calls.ok("delete_vm", agent.vm.cid)
    cli.calls.ok("delete_disk", disk_cid)


def test_create_env_attaches_again(cli: Site) -> None:
    """An attached disk is attached again at every run, with the same hint."""
    agent = cli.create_vm(cli.create_stemcell())
    disk_cid = cli.calls.ok("create_disk", DISK, {}, agent.vm.cid)
    hint = cli.calls.ok("attach_disk", agent.vm.cid, disk_cid)
    assert cli.calls.ok("attach_disk", agent.vm.cid, disk_cid) == hint
    cli.calls.ok("delete_vm", agent.vm.cid)
    cli.calls.ok("delete_disk", disk_cid)


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
    properties = director.calls.ok("calculate_vm_cloud_properties", wanted)
    network = {"default": manual(f"{director.daemon.network}4")}
    stemcell_cid = director.create_stemcell()
    arguments = ["a", stemcell_cid, properties, network, [], ENV]
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
    there = Site(calls, second, director._image)
    vm = there.create_vm(there.create_stemcell()).vm
    assert second.vm_cids() == [vm.cid]
    calls.ok("delete_vm", vm.cid)
    calls.properties = {}
    assert calls.ok("has_vm", here.cid) is True
    calls.ok("delete_vm", here.cid)
