"""create_vm fails at some step: the error is right, and nothing is left."""

from __future__ import annotations

from pathlib import Path
from tarfile import SYMTYPE

import pytest

from runc_cpi.daemon.host.cgroups import hierarchies
from tests.harness import images, leaks
from tests.harness.daemon import Daemon, manual, vm_arguments
from tests.harness.lab import NewDaemon
from tests.harness.waiting import eventually
from tests.harness.wrapper import Wrapper


@pytest.fixture
def wrapper(new_daemon: NewDaemon, tmp_path: Path) -> Wrapper:
    """A runtime that works until a test lets it fail."""
    return Wrapper(tmp_path / "wrapper")


@pytest.fixture
def fragile(new_daemon: NewDaemon, wrapper: Wrapper) -> Daemon:
    """A daemon with a runtime that can be made to fail."""
    return new_daemon(config={"runtime": str(wrapper.program)}).start()


@pytest.mark.skipif(hierarchies.are_unified(), reason="this host has no cgroup v1")
def test_a_systemd_without_cgroup_v1(daemon: Daemon, tmp_path: Path) -> None:
    """A stemcell whose systemd cannot boot on this host is refused by name."""
    library = "usr/lib/systemd/libsystemd-shared-259.so"
    image = tmp_path / "image"
    image.write_bytes(
        images.archive(
            [
                *images.shell_entries(),
                images.entry("lib/systemd/systemd", mode=0o755),
                images.entry("sbin/init", kind=SYMTYPE, link="/lib/systemd/systemd"),
                images.entry(library),
            ]
        )
    )
    error = daemon.cpi.error("create_vm", *vm_arguments(daemon.create_stemcell(image)))
    assert "has systemd 259, which boots with cgroup v2 only" in error["message"]
    assert error["ok_to_retry"] is False
    assert daemon.vm_cids() == []


@pytest.mark.parametrize("operation", ["create", "start"])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_runtime_fails(
    fragile: Daemon, wrapper: Wrapper, tiny: Path, operation: str, after: bool
) -> None:
    """The error has the runtime's own words, all is undone, and the next try works."""
    stemcell = fragile.create_stemcell(tiny)
    before = leaks.find(fragile.home.parent, [fragile.cgroup])
    networks = {"a": manual(fragile.network + "30"), "b": {"type": "dynamic"}}
    wrapper.fail(operation, "the moon is in the way", after=after)
    error = fragile.cpi.error("create_vm", *vm_arguments(stemcell, networks))
    assert error["type"] == "Bosh::Clouds::VMCreationFailed"
    assert error["ok_to_retry"] is False
    assert "the moon is in the way" in error["message"]
    assert operation in error["message"]
    more = leaks.left(before, fragile.home.parent, [fragile.cgroup])
    assert {trace for trace in more if fragile.cgroup != Path(trace.name).name} == set()
    wrapper.mend()
    vm = fragile.create_vm(stemcell, networks)
    assert [vm.networks[name]["ip"] for name in "ab"] == [
        fragile.network + "30",
        fragile.network + "254",
    ]
    fragile.cpi.ok("delete_vm", vm.cid)
    assert fragile.cpi.ok("delete_stemcell", stemcell) is None


def test_undoing_fails_as_well(fragile: Daemon, wrapper: Wrapper, tiny: Path) -> None:
    """
    If undoing fails too, the first error is answered; the next start removes the rest.
    """
    stemcell = fragile.create_stemcell(tiny)
    wrapper.fail("start", "the first error")
    wrapper.fail("delete", "the second error")
    error = fragile.cpi.error("create_vm", *vm_arguments(stemcell))
    assert "the first error" in error["message"]
    assert "the second error" in fragile.log
    wrapper.mend()
    fragile.stop()
    fragile.start()
    assert fragile.vm_cids() == []
    assert list((fragile.work_dir / "runtime").iterdir()) == []
    assert fragile.create_vm(stemcell).address == fragile.network + "254"


def test_deletion_fails(fragile: Daemon, wrapper: Wrapper, tiny: Path) -> None:
    """A VM whose deletion fails still exists, and the next try deletes it."""
    vm = fragile.create_vm(fragile.create_stemcell(tiny))
    wrapper.fail("delete", "not today")
    error = fragile.cpi.error("delete_vm", vm.cid)
    assert error["type"] == "Bosh::Clouds::CloudError"
    assert "not today" in error["message"]
    assert fragile.cpi.ok("has_vm", vm.cid) is True
    wrapper.mend()
    fragile.cpi.ok("delete_vm", vm.cid)
    assert fragile.cpi.ok("has_vm", vm.cid) is False


def test_reboot_fails(fragile: Daemon, wrapper: Wrapper, tiny: Path) -> None:
    """A VM whose reboot fails still exists, and a later reboot starts it."""
    vm = fragile.create_vm(fragile.create_stemcell(tiny))
    vm.shell("echo 1 >/kept")
    wrapper.fail("start", "no start")
    error = fragile.cpi.error("reboot_vm", vm.cid)
    assert error["type"] == "Bosh::Clouds::CloudError"
    assert "no start" in error["message"]
    assert fragile.cpi.ok("has_vm", vm.cid) is True
    wrapper.mend()
    fragile.cpi.ok("reboot_vm", vm.cid)
    assert vm.is_alive()
    assert vm.read("/kept") == "1\n"


def test_runc_tells_why(daemon: Daemon, tiny: Path) -> None:
    """The error has what runc wrote to its log: here that the init is missing."""
    stemcell = daemon.create_stemcell(tiny)
    arguments = vm_arguments(stemcell, cloud_properties={"init": "systemd"})
    error = daemon.cpi.error("create_vm", *arguments)
    assert error["type"] == "Bosh::Clouds::VMCreationFailed"
    assert "/sbin/init" in error["message"]
    assert "no such file or directory" in error["message"]


def test_no_interface_can_be_made(daemon: Daemon, tiny: Path) -> None:
    """
    Without the bridge create_vm fails and leaves nothing; a new start makes the bridge.
    """
    stemcell = daemon.create_stemcell(tiny)
    leaks.clear([leaks.Trace("link", str(daemon.config["bridge"]))])
    error = daemon.cpi.error("create_vm", *vm_arguments(stemcell))
    assert error["type"] == "Bosh::Clouds::VMCreationFailed"
    assert "network" in error["message"]
    assert daemon.vm_cids() == []
    assert list((daemon.work_dir / "runtime").iterdir()) == []
    daemon.stop()
    daemon.start()
    assert daemon.create_vm(stemcell).is_alive()


def test_init_that_ends_at_once(daemon: Daemon, tmp_path: Path, busybox: bytes) -> None:
    """
    create_vm succeeds for a VM whose init fails at once; the console says why it failed.
    """
    path = tmp_path / "image"
    path.write_bytes(images.tiny(busybox, "#!/bin/sh\necho going down\nexit 3\n"))
    vm = daemon.create_vm(daemon.create_stemcell(path))
    console = vm.directory / "console.log"
    eventually(lambda: "going down" in console.read_text(), "the console tells")
    assert daemon.cpi.ok("has_vm", vm.cid) is True
    daemon.cpi.ok("reboot_vm", vm.cid)
    daemon.cpi.ok("delete_vm", vm.cid)
