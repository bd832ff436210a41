"""The main job: a stemcell becomes a running VM, and all of it can be deleted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from runc_cpi.daemon.vms.inits import HALT_RUNIT
from tests.harness import leaks
from tests.harness.daemon import Daemon, manual
from tests.harness.waiting import eventually

# It ends a moment after it was asked to, and leaves a file then.
SLOW = "trap 'sleep 0.5; touch /ended; exit' TERM; while :; do sleep 0.05; done"


def test_info_needs_no_daemon(daemon: Daemon) -> None:
    """C{info} is answered while the daemon is down."""
    daemon.stop()
    told = daemon.cpi.ok("info", version=1)
    assert told["api_version"] == 3
    assert "warden-tar" in told["stemcell_formats"]


def test_life(daemon: Daemon, kind: str, image: Callable[[str], Path]) -> None:
    """A VM boots, answers, is rebooted with its files, and is deleted without a trace."""
    cpi = daemon.cpi
    stemcell_cid = daemon.create_stemcell(image(kind))
    before = leaks.find(daemon.home.parent, [daemon.cgroup])
    address = daemon.network + "20"
    networks = {"default": manual(address)}
    vm = daemon.create_vm(stemcell_cid, networks, agent_id="agent-life")
    assert cpi.ok("has_vm", vm.cid) is True
    assert vm.wait_for_agent() == "agent-life"

    assert cpi.ok("set_vm_metadata", vm.cid, {"name": "job/0"}) is None
    refused = cpi.error("delete_stemcell", stemcell_cid)
    assert refused["type"] == "Bosh::Clouds::CloudError"
    assert "in use" in refused["message"]

    vm.shell("echo root >/kept; echo data >/var/vcap/data/kept")
    vm.shell("mkdir -p /var/vcap/data/sys/run; echo 1 >/var/vcap/data/sys/run/stale.pid")
    first = vm.pid
    assert cpi.ok("reboot_vm", vm.cid) is None
    assert vm.pid != first
    assert vm.wait_for_agent() == "agent-life"
    assert vm.shell("cat /kept /var/vcap/data/kept") == "root\ndata\n"
    assert vm.attempt("test", "-e", "/var/vcap/data/sys/run/stale.pid").returncode == 1

    assert cpi.ok("delete_vm", vm.cid) is None
    assert leaks.left(before, daemon.home.parent, [daemon.cgroup]) - before <= parents(
        daemon
    )
    assert cpi.ok("has_vm", vm.cid) is False
    assert cpi.ok("delete_vm", vm.cid) is None
    again = daemon.create_vm(stemcell_cid, networks, agent_id="agent-again")
    assert again.address == address
    assert again.wait_for_agent() == "agent-again"
    cpi.ok("delete_vm", again.cid)
    assert cpi.ok("delete_stemcell", stemcell_cid) is None
    assert not list((daemon.work_dir / "stemcells").iterdir())
    assert cpi.ok("delete_stemcell", stemcell_cid) is None


def parents(daemon: Daemon) -> set[leaks.Trace]:
    """Return the cgroups that a daemon keeps for its next VM."""
    found = leaks.find(daemon.home.parent, [daemon.cgroup])
    return {trace for trace in found if trace.name.endswith(daemon.cgroup)}


def test_a_vm_that_halted_is_still_one(
    daemon: Daemon, kind: str, image: Callable[[str], Path]
) -> None:
    """A VM whose init ended exists, boots again by reboot_vm, and can be deleted."""
    vm = daemon.create_vm(daemon.create_stemcell(image(kind)))
    vm.wait_for_agent()
    # "shutdown" in the VM would do this at once.
    vm.attempt("/bin/sh", "-c", "kill -9 -1; kill -37 1; kill -TERM 1")
    eventually(lambda: not vm.is_alive(), "the VM has halted")
    assert daemon.cpi.ok("has_vm", vm.cid) is True
    daemon.cpi.ok("reboot_vm", vm.cid)
    assert vm.wait_for_agent() == "agent-1"


def test_what_a_halt_waits_for(daemon: Daemon, image: Callable[[str], Path]) -> None:
    """
    With runit, a halt waits for what services left running, but not for who has ended.
    """
    vm = daemon.create_vm(daemon.create_stemcell(image("runit")))
    vm.wait_for_agent()
    vm.shell(f"({SLOW}) >/dev/null 2>&1 &")
    daemon.cpi.ok("reboot_vm", vm.cid)
    vm.run("test", "-e", "/ended")
    vm.wait_for_agent()
    # The agent's runsv ends, and runsvdir leaves it to be waited for until some seconds on.
    halt = vm.attempt("/bin/sh", "-xc", HALT_RUNIT)
    assert halt.returncode == 0, halt
    assert "tries=0" not in halt.stderr, halt


def test_each_version_gets_its_shape(daemon: Daemon, tiny: Path) -> None:
    """
    create_vm answers in the version that was asked for; v3 gives create_stemcell an env.
    """
    env = {"tags": {"a": "b"}}
    stemcell = daemon.cpi.ok("create_stemcell", str(tiny), {}, env, version=3)
    networks = {"default": {"type": "dynamic"}}
    arguments = ["agent", stemcell, {}, networks, None, {}]
    assert isinstance(daemon.cpi.ok("create_vm", *arguments, version=1), str)
    for version in (2, 3):
        cid, told = daemon.cpi.ok("create_vm", *arguments, version=version)
        assert daemon.cpi.ok("has_vm", cid) is True
        assert told["default"]["ip"].startswith(daemon.network)


def test_unknown_things(daemon: Daemon, tiny: Path) -> None:
    """The error for an unknown VM, disk, stemcell or method has the right type."""
    cpi = daemon.cpi
    assert cpi.ok("has_vm", "vm-none") is False
    assert cpi.error("reboot_vm", "vm-none")["type"] == "Bosh::Clouds::VMNotFound"
    assert cpi.error("set_vm_metadata", "x", {})["type"] == "Bosh::Clouds::VMNotFound"
    assert cpi.error("set_disk_metadata", "x", {})["type"] == "Bosh::Clouds::DiskNotFound"
    arguments = ["agent", "stemcell-none", {}, {"a": {"type": "dynamic"}}, [], {}]
    error = cpi.error("create_vm", *arguments)
    assert error["type"] == "Bosh::Clouds::CloudError"
    assert "stemcell-none" in error["message"]
    assert cpi.error("configure_networks", "x", {})["type"] == "Bosh::Clouds::NotSupported"
    assert cpi.error("levitate")["type"] == "Bosh::Clouds::NotImplemented"
    assert cpi.ok("ping") == "pong"


def test_cids_that_are_paths(daemon: Daemon, tiny: Path) -> None:
    """A cid that is a path never leads anywhere in the file system."""
    stemcell = daemon.create_stemcell(tiny)
    vm = daemon.create_vm(stemcell)
    for cid in (f"../vms/{vm.cid}", f"{vm.cid}/", ".", "..", "/", f"./{vm.cid}"):
        assert daemon.cpi.ok("has_vm", cid) is False
        assert daemon.cpi.ok("delete_vm", cid) is None
        assert daemon.cpi.ok("delete_stemcell", cid) is None
        assert daemon.cpi.error("reboot_vm", cid)["type"] == "Bosh::Clouds::VMNotFound"
    assert vm.is_alive()
