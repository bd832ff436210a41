"""
The calls of the bosh CLI, one by one, to a real daemon.

Their order, and what is done between them, are the CLI's. Each call is an C{info} and the
method, in processes of their own with the environment that the caller gives.
"""

from __future__ import annotations

from tests.release.sites import DISK, LARGER, Site

FIRST = [
    "create_stemcell", "create_vm", "set_vm_metadata",
    "create_disk", "attach_disk", "set_disk_metadata",
]  # fmt: skip


def test_create_env(create_env: Site) -> None:
    """
    create-env works at first, with another VM, with another disk size, and to its deletion.
    """
    calls = create_env.calls
    # The first time.
    old_stemcell = create_env.create_stemcell()
    agent = create_env.create_vm(old_stemcell)
    disk_cid = create_env.create_disk(agent)
    agent.write("first")
    assert create_env.told() == FIRST

    # With another stemcell: the VM is deleted with the disk attached.
    stemcell_cid = create_env.create_stemcell()
    assert calls.ok("has_vm", agent.vm.cid) is True
    agent.unmount_disk(disk_cid)
    calls.ok("delete_vm", agent.vm.cid)
    agent = create_env.create_vm(stemcell_cid, disk_cid)
    create_env.attach_disk(agent, disk_cid)
    assert agent.read() == "first"
    calls.ok("delete_stemcell", old_stemcell)
    assert create_env.told() == [
        "create_stemcell", "has_vm", "delete_vm", "create_vm", "set_vm_metadata",
        "attach_disk", "set_disk_metadata", "delete_stemcell",
    ]  # fmt: skip

    # With another size: two disks are attached for a while.
    assert calls.ok("has_vm", agent.vm.cid) is True
    agent.unmount_disk(disk_cid)
    calls.ok("delete_vm", agent.vm.cid)
    agent = create_env.create_vm(stemcell_cid, disk_cid)
    create_env.attach_disk(agent, disk_cid)
    small = agent.size()
    new_cid = create_env.migrate(agent, disk_cid, LARGER)
    calls.ok("delete_disk", disk_cid)
    assert agent.read() == "first"
    assert agent.size() > small
    assert create_env.told() == [
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


def test_create_env_with_the_vm_gone(create_env: Site) -> None:
    """The CLI calls delete_vm even if has_vm says that there is none."""
    stemcell_cid = create_env.create_stemcell()
    agent = create_env.create_vm(stemcell_cid)
    disk_cid = create_env.create_disk(agent)
    agent.write("kept")
    agent.unmount_disk(disk_cid)
    create_env.calls.ok("delete_vm", agent.vm.cid)
    assert create_env.calls.ok("has_vm", agent.vm.cid) is False
    answer = create_env.calls.call("delete_vm", agent.vm.cid)
    assert (answer["error"] or {}).get("type") in (None, "Bosh::Clouds::VMNotFound")
    agent = create_env.create_vm(stemcell_cid, disk_cid)
    create_env.attach_disk(agent, disk_cid)
    assert agent.read() == "kept"
    create_env.calls.ok("delete_vm", agent.vm.cid)
    create_env.calls.ok("delete_disk", disk_cid)


def test_create_env_attaches_again(create_env: Site) -> None:
    """Each run attaches the attached disk again, and gets the same hint."""
    agent = create_env.create_vm(create_env.create_stemcell())
    disk_cid = create_env.calls.ok("create_disk", DISK, {}, agent.vm.cid)
    hint = create_env.calls.ok("attach_disk", agent.vm.cid, disk_cid)
    assert create_env.calls.ok("attach_disk", agent.vm.cid, disk_cid) == hint
    create_env.calls.ok("delete_vm", agent.vm.cid)
    create_env.calls.ok("delete_disk", disk_cid)
