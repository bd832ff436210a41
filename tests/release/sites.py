"""What the CLI and the director do between calls, and their agents."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.harness.daemon import Daemon, manual
from tests.release.agent import Agent
from tests.release.callers import Caller, Director

MBUS = "https://mbus:secret@0.0.0.0:6868"
STEMCELL = {"name": "warden", "version": "1", "infrastructure": "warden"}
ENV = {"bosh": {"mbus": {"cert": {"ca": "CA"}}, "password": "*", "tags": {}}}
# An address of the host for VMs.
VIP = "203.0.113.1"
DISK = 64
LARGER = 96


class Site:
    """
    A caller, and the daemon that it calls.

    @ivar calls: the caller. @ivar daemon: the daemon. @ivar image: of the stemcell.
    """

    def __init__(self, calls: Caller, daemon: Daemon, image: Path) -> None:
        self.calls, self.daemon, self.image = calls, daemon, image
        self._agents = 0

    def create_stemcell(self) -> str:
        """Import a stemcell with the arguments of the caller's version."""
        tags: list[Any] = [{"tags": {}}] if self.calls.version == 3 else []
        cid: str = self.calls.ok("create_stemcell", str(self.image), STEMCELL, *tags)
        return cid

    def create_vm(self, stemcell_cid: str, *disk_cids: str, host: int = 4) -> Agent:
        """Make a VM as both callers do: with disks as hints, and then metadata."""
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
        """Change a disk's size by a copy, the way that works with every CPI."""
        new_cid = self.create_disk(agent, size)
        agent.migrate_disk()
        self.detach_disk(agent, disk_cid)
        assert agent.list_disk() == [new_cid]
        return new_cid

    def told(self) -> list[str]:
        """Return the methods that were called since the last time."""
        methods, self.calls.methods = self.calls.methods, []
        return methods


def properties(daemon: Daemon) -> dict[str, Any]:
    """Return the properties of the CPI that point to a daemon."""
    address = {"network_type": daemon.network_type, "address": daemon.config["address"]}
    return {"runc_cpi": address, "agent": {"mbus": MBUS}}
