"""A host full of VMs: after a reboot of the host, and while many come and go."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.harness import leaks, netns
from tests.harness.daemon import Daemon, vm_arguments
from tests.harness.host import reboot_host
from tests.harness.waiting import eventually

CLIENTS = 16
VMS = 100
CYCLES = 200
# Allocators keep some memory; a leak of VMs would be many times that.
SLACK_KIB = 24 * 1024


def each(work: Any, items: Any) -> list[Any]:
    """Do something with each of many, by a number of clients at once."""
    with ThreadPoolExecutor(CLIENTS) as pool:
        return list(pool.map(work, items))


@pytest.mark.timeout(300)
def test_host_reboot(daemon: Daemon, tiny: Path, report: Callable[[str], None]) -> None:
    """
    After a reboot of the host all VMs are back with their addresses and files; print the
    time.
    """
    stemcell = daemon.create_stemcell(tiny)
    arguments = vm_arguments(stemcell)
    results = each(lambda _: daemon.cpi.ok("create_vm", *arguments), range(VMS))
    vms = [daemon.vm(result) for result in results]
    marked = vms[::10]
    for vm in marked:
        vm.shell(f"echo {vm.cid} >/mark")
    disk = daemon.cpi.ok("create_disk", 8, {}, None)
    hint = daemon.cpi.ok("attach_disk", vms[0].cid, disk)
    reboot_host(daemon)
    assert not any(vm.is_alive() for vm in vms)
    began = time.monotonic()
    daemon.start()
    served = time.monotonic() - began
    back = "brought back "
    eventually(lambda: daemon.log.count(back) == VMS, "all are back", 120)
    took = time.monotonic() - began
    report(f"{VMS} VMs back {took:.1f} s after a reboot, calls taken after {served:.1f} s")
    for vm in vms:
        assert vm.is_alive()
    for vm in marked:
        assert vm.read("/mark").strip() == vm.cid
        assert vm.address in vm.run("ip", "addr")
    vms[0].shell(f"test -b {hint}")
    each(lambda vm: daemon.cpi.ok("delete_vm", vm.cid), vms)
    daemon.cpi.ok("delete_disk", disk)


def come_and_go(daemon: Daemon, stemcell: str) -> None:
    """Make a VM, ask about it, and delete it."""
    vm_cid, _ = daemon.cpi.ok("create_vm", *vm_arguments(stemcell))
    assert daemon.cpi.ok("has_vm", vm_cid) is True
    daemon.cpi.ok("delete_vm", vm_cid)
    assert daemon.cpi.ok("has_vm", vm_cid) is False


def usage(daemon: Daemon) -> dict[str, int]:
    """Count what a daemon could leak."""
    assert daemon.process is not None
    pid = daemon.process.pid
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    fields = dict(line.split(":", 1) for line in status)
    traces = leaks.find(daemon.home, [daemon.cgroup])
    counted = {
        "KiB of memory": int(fields["VmRSS"].split()[0]),
        "file descriptors": len(os.listdir(f"/proc/{pid}/fd")),
        "threads": int(fields["Threads"]),
        "interfaces": len(netns.links()),
    }
    for kind in ("mount", "cgroup", "process", "loop device", "file"):
        counted[f"leftovers: {kind}"] = sum(trace.kind == kind for trace in traces)
    return counted


@contextmanager
def same_at_the_end(
    daemon: Daemon, report: Callable[[str], None], what: str
) -> Iterator[None]:
    """Check that a daemon uses at the end what it used before, and print it."""
    before = usage(daemon)
    yield
    daemon.wait_for_removals(60)
    after = usage(daemon)

    def is_the_same() -> bool:
        nonlocal after
        after = usage(daemon)
        return _same(before, after)

    with suppress(AssertionError):
        eventually(is_the_same, "all is as it was", 10)
    counts = [f"{name} {count} -> {after[name]}" for name, count in before.items()]
    report(f"{what}: {', '.join(counts)}")
    assert _same(before, after)


def _same(before: dict[str, int], after: dict[str, int]) -> bool:
    slack = {"KiB of memory": SLACK_KIB, "threads": 20}
    return all(after[name] <= before[name] + slack.get(name, 0) for name in before)


def warmed_up(daemon: Daemon, tiny: Path) -> str:
    """Make a daemon do once what makes it use more memory for good."""
    stemcell = daemon.create_stemcell(tiny)
    each(lambda _: come_and_go(daemon, stemcell), range(2 * CLIENTS))
    return stemcell


@pytest.mark.timeout(300)
def test_coming_and_going(
    daemon: Daemon, tiny: Path, report: Callable[[str], None]
) -> None:
    """Two hundred VMs, made and deleted by sixteen clients, leave no trace."""
    stemcell = warmed_up(daemon, tiny)
    with same_at_the_end(daemon, report, f"{CYCLES} VMs made and deleted"):
        each(lambda _: come_and_go(daemon, stemcell), range(CYCLES))


@pytest.mark.long
@pytest.mark.timeout(900)
def test_soak(daemon: Daemon, tiny: Path, report: Callable[[str], None]) -> None:
    """
    Two hundred VMs at a time are made and deleted for five minutes, and leave no trace.
    """
    stemcell = warmed_up(daemon, tiny)
    rounds, end = 0, time.monotonic() + 300
    with same_at_the_end(daemon, report, "VMs made and deleted for five minutes"):
        while time.monotonic() < end:
            arguments = vm_arguments(stemcell)
            made = each(
                lambda _, a=arguments: daemon.cpi.ok("create_vm", *a), range(CYCLES)
            )
            each(lambda result: daemon.cpi.ok("delete_vm", result[0]), made)
            rounds += 1
    report(f"that were {rounds} rounds of {CYCLES} VMs")
