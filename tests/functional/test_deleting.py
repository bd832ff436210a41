"""VMs that resist: what they froze, hid or forked is deleted as well."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.harness import deep
from tests.harness.daemon import Daemon
from tests.harness.vm import VM
from tests.harness.waiting import eventually

# With v1 the VM has the freezer already; v2 is mounted there.
V1 = "cd /sys/fs/cgroup/freezer || exit 3; freeze() { echo FROZEN >freezer.state; }"
V2 = (
    "mkdir -p /v2; mount -t cgroup2 none /v2; cd /v2; test -f cgroup.procs || exit 3; "
    "freeze() { echo 1 >cgroup.freeze; }"
)
# Names need not be UTF-8.
ICE = (
    "ice=$(printf 'ice\\377'); mkdir $ice; cd $ice; "
    "sleep 100000 & echo $! >cgroup.procs; freeze"
)
# Each process lives only until it has started the next one; some get frozen.
HOPPING = "#!/bin/sh\n[ $(($$ % 16)) != 0 ] || echo $$ >/hole\nsh /hop & exit 0\n"
FREEZING = "#!/bin/sh\nwhile :; do echo FROZEN >/cold; done\n"
HOPPERS = 6


@pytest.fixture(params=[V1, V2], ids=["v1", "v2"])
def freezer(request: pytest.FixtureRequest) -> str:
    """Return the beginning of a script that finds a hierarchy and defines how to freeze."""
    freezer: str = request.param
    return freezer


def have_done(vm: VM, script: str) -> None:
    """Run a script in a VM; it ends with status 3 if this host cannot do what it tries."""
    # What is frozen at once must not hold the pipes that this process reads.
    outcome = vm.attempt("/bin/sh", "-c", f"exec >/dev/null 2>&1; {script}")
    if outcome.returncode == 3:
        pytest.skip("this host has no such hierarchy")
    assert outcome.returncode == 0, outcome


def assert_gone(daemon: Daemon, vm: VM) -> None:
    """Check that a VM was deleted at the first try, and that other VMs did not notice."""
    daemon.cpi.ok("delete_vm", vm.cid)
    assert not vm.directory.exists()
    assert daemon.cpi.ok("has_vm", vm.cid) is False


def test_frozen_inside(daemon: Daemon, tiny: Path, freezer: str) -> None:
    """A frozen process in a VM delays neither its reboot nor its deletion."""
    vm = daemon.create_vm(daemon.create_stemcell(tiny))
    have_done(vm, f"{freezer}; {ICE}")
    daemon.cpi.ok("reboot_vm", vm.cid)
    assert vm.is_alive()
    have_done(vm, f"{freezer}; {ICE}")
    assert_gone(daemon, vm)


@pytest.mark.parametrize(
    ("hierarchy", "name", "value"),
    [("freezer", "freezer.state", "FROZEN"), ("unified", "cgroup.freeze", "1")],
)
def test_frozen_deep_inside(
    daemon: Daemon, tiny: Path, hierarchy: str, name: str, value: str
) -> None:
    """A frozen process in a cgroup whose path is too long delays no deletion."""
    vm = daemon.create_vm(daemon.create_stemcell(tiny))
    if hierarchy not in vm.cgroups():
        pytest.skip("this host has no such hierarchy")
    have_done(vm, "sleep 100000 &")
    path = vm.cgroups()[hierarchy]
    (sleeper,) = set((path / "cgroup.procs").read_text().split()) - {str(vm.pid)}
    with deep.made_below(path) as lowest:
        deep.write(lowest, "cgroup.procs", sleeper)
        deep.write(lowest, name, value)
    assert_gone(daemon, vm)


def test_frozen_whole(daemon: Daemon, tiny: Path) -> None:
    """A VM that froze all of itself, its first process included, can be deleted."""
    vm = daemon.create_vm(daemon.create_stemcell(tiny))
    cgroups = vm.cgroups()
    if "freezer" in cgroups:
        (cgroups["freezer"] / "freezer.state").write_text("FROZEN")
    (cgroups["unified"] / "cgroup.freeze").write_text("1")
    assert_gone(daemon, vm)


def test_never_the_same_process(daemon: Daemon, tiny: Path) -> None:
    """
    Processes that fork faster than they can be listed, and freeze each other, are deleted.
    """
    vm = daemon.create_vm(daemon.create_stemcell(tiny))
    have_done(
        vm,
        f"{V1}; mkdir ice; ln -s $PWD/ice/cgroup.procs /hole; "
        "ln -s $PWD/ice/freezer.state /cold",
    )
    for name, script in (("hop", HOPPING), ("freeze", FREEZING)):
        path = vm.directory / "upper" / name
        vm.shell(f"cat >/{name} <<'END'\n{script}END")
        assert path.read_text() == script
    hoppers = "sh /hop & " * HOPPERS
    have_done(vm, f"{hoppers} sh /freeze &")
    ice = vm.cgroups()["freezer"] / "ice"
    eventually(lambda: (ice / "cgroup.procs").read_text(), "some are in the ice", 60)
    assert_gone(daemon, vm)
