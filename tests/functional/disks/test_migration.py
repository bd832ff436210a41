"""What the agent does when a disk gets another size: it copies to a second disk."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.functional.disks.site import Site, loop_of, processes
from tests.harness.agent import MIGRATION, STORE, Agent, AgentError
from tests.harness.lab import NewDaemon


def test_migration(new_daemon: NewDaemon, kind: str, image: Callable[[str], Path]) -> None:
    """A migration works: two disks, the copy, detach of the old one, and a reboot."""
    site = Site(new_daemon(), image(kind)).start()
    vm = site.vm()
    vm.wait_for_agent()
    agent, init = Agent(vm), vm.pid
    old = site.store(vm, 16)
    agent.start()
    vm.shell(f"mkdir {STORE}/db; echo kept >{STORE}/db/file; ln {STORE}/db/file {STORE}/l")
    vm.shell(f"chown 7:8 {STORE}/db/file; chmod 4750 {STORE}/db/file")

    new = site.disk(32)
    site.attach(vm, new)
    assert agent.list_disk() == [old]
    assert agent.mount_disk(new) == MIGRATION
    assert sorted(agent.list_disk()) == sorted([old, new])
    agent.migrate_disk()
    assert agent.points(f"/dev/{new}") == [STORE]
    assert agent.points(f"/dev/{old}") == []
    assert agent.list_disk() == [new]
    assert vm.run("stat", "-c", "%u:%g %a %h", f"{STORE}/db/file") == "7:8 4750 2\n"
    size, blocks = vm.run("stat", "-f", "-c", "%S %b", STORE).split()
    assert int(size) * int(blocks) > 24 << 20

    agent.unmount_disk(old)
    site.detach(vm, old)
    assert vm.read(f"{STORE}/db/file") == "kept\n"
    assert agent.list_disk() == [new]
    assert site.cpi.ok("get_disks", vm.cid) == [new]
    assert loop_of(site.image(old)) is None
    site.cpi.ok("delete_disk", old)
    assert vm.pid == init

    site.cpi.ok("reboot_vm", vm.cid)
    vm.wait_for_agent()
    agent.start()
    assert agent.points(f"/dev/{new}") == [STORE]
    assert agent.list_disk() == [new]
    assert vm.read(f"{STORE}/db/file") == "kept\n"


def test_the_agent_leaves_all_mounted(site: Site) -> None:
    """Both disks are detached even if the agent left both mounted."""
    vm = site.vm()
    before = processes(vm)
    disks = [site.store(vm), site.disk()]
    site.attach(vm, disks[1])
    assert Agent(vm).mount_disk(disks[1]) == MIGRATION
    for disk_cid in disks:
        site.detach(vm, disk_cid)
        assert Agent(vm).points(f"/dev/{disk_cid}") == []
        assert vm.attempt("test", "-e", f"/dev/{disk_cid}").returncode == 1
    assert processes(vm) == before


def test_a_migration_that_failed(site: Site) -> None:
    """
    After a failed migration the Director detaches the new disk; the old one is as it was.
    """
    vm = site.vm()
    old, new = site.store(vm), site.disk()
    vm.shell(f"echo kept >{STORE}/file")
    site.attach(vm, new)
    assert Agent(vm).mount_disk(new) == MIGRATION
    vm.shell(f"cp {STORE}/file {MIGRATION}")
    site.detach(vm, new)
    assert Agent(vm).list_disk() == [old]
    assert vm.read(f"{STORE}/file") == "kept\n"
    site.cpi.ok("delete_disk", new)


def test_mounted_already(site: Site) -> None:
    """The agent does not mount a disk twice, so the Director asks it for the list."""
    vm = site.vm()
    disk_cid = site.store(vm)
    assert Agent(vm).list_disk() == [disk_cid]
    with pytest.raises(AgentError, match="already mounted"):
        Agent(vm).mount_disk(disk_cid)


def test_two_disks_of_one_vm_by_name(site: Site) -> None:
    """Several dynamic disks of one VM are there at once, each under its own name."""
    vm = site.vm()
    disks = [site.disk(8) for _ in range(3)]
    for number, disk_cid in enumerate(disks):
        hint = site.cpi.ok("attach_disk", vm.cid, disk_cid)
        vm.shell(
            f"mkdir -p /d{number}; mount {hint} /d{number}; echo {number} >/d{number}/n"
        )
    assert sorted(site.cpi.ok("get_disks", vm.cid)) == sorted(disks)
    site.cpi.ok("detach_disk", vm.cid, disks[1])
    assert vm.shell("cat /d0/n /d2/n") == "0\n2\n"
    assert vm.attempt("cat", "/d1/n").returncode == 1
