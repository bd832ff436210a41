"""Many calls at once, each by a process of its own, as a Director makes them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.harness.daemon import Daemon, manual, vm_arguments

MANY = 20


def all_at_once(daemon: Daemon, method: str, calls: list[list[Any]]) -> list[Any]:
    """Start all calls at once, and return all results."""
    processes = [daemon.cpi.start(method, *arguments) for arguments in calls]
    answers = [daemon.cpi.finish(process) for process in processes]
    assert [answer["error"] for answer in answers] == [None] * len(calls)
    return [answer["result"] for answer in answers]


def test_many_vms(daemon: Daemon, image: Callable[[str], Path]) -> None:
    """Twenty VMs are created, rebooted and deleted at once."""
    stemcell = daemon.create_stemcell(image("runit"))
    calls = [vm_arguments(stemcell, agent_id=f"agent-{n}") for n in range(MANY)]
    vms = [daemon.vm(result) for result in all_at_once(daemon, "create_vm", calls)]
    assert len({vm.cid for vm in vms}) == MANY
    assert len({vm.address for vm in vms}) == MANY
    for n, vm in enumerate(vms):
        assert vm.wait_for_agent() == f"agent-{n}"
    cids = [[vm.cid] for vm in vms]
    all_at_once(daemon, "reboot_vm", cids[:4])
    assert all_at_once(daemon, "delete_vm", cids) == [None] * MANY
    assert all_at_once(daemon, "has_vm", cids) == [False] * MANY
    assert daemon.vm_cids() == []


def test_one_vm_from_many_sides(daemon: Daemon, tiny: Path) -> None:
    """Calls about one VM at the same time are done one after the other, and none fails."""
    stemcell = daemon.create_stemcell(tiny)
    vm = daemon.create_vm(stemcell)
    calls: list[tuple[Any, ...]] = [("set_vm_metadata", vm.cid, {"n": n}) for n in range(5)]
    reboots: list[tuple[Any, ...]] = [("reboot_vm", vm.cid) for _ in range(3)]
    processes = [daemon.cpi.start(*call) for call in [*calls, *reboots]]
    for process in processes:
        assert daemon.cpi.finish(process)["error"] is None
    assert vm.is_alive()
    processes = [daemon.cpi.start("delete_vm", vm.cid) for _ in range(5)]
    for process in processes:
        assert daemon.cpi.finish(process)["error"] is None


def test_one_address_wanted_by_many(daemon: Daemon, tiny: Path) -> None:
    """If several VMs want one address at once, exactly one gets it."""
    stemcell = daemon.create_stemcell(tiny)
    networks = {"a": manual(daemon.network + "40")}
    arguments = vm_arguments(stemcell, networks)
    processes = [daemon.cpi.start("create_vm", *arguments) for _ in range(5)]
    answers = [daemon.cpi.finish(process) for process in processes]
    (cid,) = [answer["result"][0] for answer in answers if answer["result"]]
    for answer in answers:
        assert answer["error"] is None or daemon.network + "40" in str(answer["error"])
    assert daemon.vm_cids() == [cid]


def test_stemcell_goes_while_vms_come(daemon: Daemon, tiny: Path) -> None:
    """A stemcell is deleted, or VMs are made from it, but never both."""
    for _ in range(5):
        stemcell = daemon.create_stemcell(tiny)
        creation = daemon.cpi.start("create_vm", *vm_arguments(stemcell))
        deletion = daemon.cpi.start("delete_stemcell", stemcell)
        created, deleted = daemon.cpi.finish(creation), daemon.cpi.finish(deletion)
        assert (created["error"] is None) != (deleted["error"] is None)
        if created["error"] is None:
            assert daemon.vm(created["result"]).is_alive()


def test_stemcells_at_once(daemon: Daemon, tiny: Path) -> None:
    """Several images are unpacked side by side."""
    cids = all_at_once(daemon, "create_stemcell", [[str(tiny), {}]] * 6)
    assert len(set(cids)) == 6
    all_at_once(daemon, "delete_stemcell", [[cid] for cid in cids])
    daemon.wait_for_removals()
