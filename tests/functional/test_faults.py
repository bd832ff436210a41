"""A host that fails: each call says what failed, leaves nothing, and works later."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.harness import clock, images
from tests.harness.daemon import Daemon, vm_arguments
from tests.harness.lab import NewDaemon
from tests.harness.waiting import eventually
from tests.harness.wrapper import Wrapper

CREATION_FAILED = "Bosh::Clouds::VMCreationFailed"
CLOUD_ERROR = "Bosh::Clouds::CloudError"
NO_DISK_SPACE = "Bosh::Clouds::NoDiskSpace"


@contextmanager
def mounted(path: Path, *options: str) -> Iterator[None]:
    """Mount a file system in memory at C{path} for a while."""
    path.mkdir(exist_ok=True)
    argv = ["mount", "-t", "tmpfs", "-o", ",".join(["mode=700", *options])]
    subprocess.run([*argv, "tmpfs", str(path)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", str(path)], check=True)


def remount(path: Path, option: str) -> None:
    """Remount a file system with other options."""
    argv = ["mount", "-o", f"remount,{option}", str(path)]
    subprocess.run(argv, check=True)


def test_out_of_inodes(leaves_nothing: None, new_daemon: NewDaemon, tiny: Path) -> None:
    """
    A file system without free inodes is an error of disk space, though it has free blocks.
    """
    daemon = new_daemon()
    with mounted(daemon.work_dir, "size=64m", "nr_inodes=120"):
        daemon.start()
        stemcell = daemon.create_stemcell(tiny)
        vm = daemon.create_vm(stemcell)
        ballast = daemon.work_dir / "ballast"
        ballast.mkdir()
        for number in range(1000):
            try:
                (ballast / str(number)).touch()
            except OSError:
                break
        error = daemon.cpi.error("create_stemcell", str(tiny), {})
        assert error["type"] == NO_DISK_SPACE, error
        error = daemon.cpi.error("create_vm", *vm_arguments(stemcell))
        assert (error["type"], error["ok_to_retry"]) == (CREATION_FAILED, True), error
        error = daemon.cpi.error("create_disk", 4, {}, None)
        assert error["type"] == NO_DISK_SPACE, error
        assert daemon.vm_cids() == [vm.cid]
        assert vm.is_alive()
        daemon.cpi.ok("delete_vm", vm.cid)
        shutil.rmtree(ballast)
        vm = daemon.create_vm(stemcell)
        daemon.tear_down()


def test_read_only(leaves_nothing: None, new_daemon: NewDaemon, tiny: Path) -> None:
    """With a read-only file system VMs run on, changes are refused, and nothing is lost."""
    # A file behind a loop device, as a root disk is, would keep the mount writable.
    daemon = new_daemon(config={"vms": {"root_disk_size": 0}})
    with mounted(daemon.work_dir, "size=64m"):
        daemon.start()
        # Its lock keeps the mount writable that it was opened on.
        bound = ["mount", "--bind", str(daemon.work_dir), str(daemon.work_dir)]
        subprocess.run(bound, check=True)
        stemcell = daemon.create_stemcell(tiny)
        vm = daemon.create_vm(stemcell)
        remount(daemon.work_dir, "bind,ro")
        for method, arguments in {
            "create_vm": vm_arguments(stemcell),
            "create_disk": [4, {}, None],
            "create_stemcell": [str(tiny), {}],
            "set_vm_metadata": [vm.cid, {"a": "b"}],
            "delete_vm": [vm.cid],
            "delete_stemcell": ["stemcell-none"],
        }.items():
            answer = daemon.cpi.call(method, *arguments)
            if method != "delete_stemcell":
                assert "Read-only file system" in answer["error"]["message"], answer
        assert daemon.cpi.ok("has_vm", vm.cid) is True
        assert vm.is_alive()
        remount(daemon.work_dir, "bind,rw")
        daemon.cpi.ok("set_vm_metadata", vm.cid, {"a": "b"})
        daemon.tear_down()
        subprocess.run(["umount", str(daemon.work_dir)], check=True)


@pytest.mark.parametrize("operation", ["create", "start", "delete"])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_runtime_that_hangs(
    new_daemon: NewDaemon, tmp_path: Path, tiny: Path, operation: str, after: bool
) -> None:
    """A runtime that hangs is given up in time, and what it did is undone."""
    wrapper = Wrapper(tmp_path / "wrapper")
    config = {"runtime": str(wrapper.program), "runtime_timeout": 2}
    daemon = new_daemon(config=config).start()
    stemcell = daemon.create_stemcell(tiny)
    vm = daemon.create_vm(stemcell)
    wrapper.hold(operation, after=after)
    if operation == "delete" and after:
        # The VM is gone, which is all that was asked for.
        daemon.cpi.ok("delete_vm", vm.cid)
        return
    if operation == "delete":
        error = daemon.cpi.error("delete_vm", vm.cid)
        assert error["type"] == CLOUD_ERROR
    else:
        error = daemon.cpi.error("create_vm", *vm_arguments(stemcell))
        assert (error["type"], error["ok_to_retry"]) == (CREATION_FAILED, True)
        assert daemon.vm_cids() == [vm.cid]
        assert vm.is_alive()
    assert "took too long and was killed" in error["message"]
    wrapper.mend()
    daemon.cpi.ok("delete_vm", vm.cid)
    assert daemon.create_vm(stemcell).address == daemon.network + "254"


@pytest.mark.parametrize("network_type", ["unix", "tcp"])
@pytest.mark.parametrize("program", ["tar", "igzip"])
def test_tar_is_killed(
    new_daemon: NewDaemon, image: Callable[[str], Path], network_type: str, program: str
) -> None:
    """
    If tar is killed there is no stemcell, and the error says that tar was killed, and how.
    """
    daemon = new_daemon(network_type=network_type).start()
    call = daemon.cpi.start("create_stemcell", str(image("systemd")), {})
    (pid,) = eventually(lambda: children(daemon, program), f"{program} runs")
    os.kill(pid, signal.SIGKILL)
    error = daemon.cpi.finish(call)["error"]
    assert "SIGKILL" in error["message"], error
    eventually(lambda: not list(daemon.scratch.iterdir()), "scratch is empty")
    assert not list((daemon.work_dir / "stemcells").iterdir())


def children(daemon: Daemon, program: str) -> list[int]:
    """Find the daemon's children that run a program."""
    assert daemon.process is not None
    parent = daemon.process.pid
    tasks = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return [
        int(pid)
        for pid in tasks
        if Path(f"/proc/{pid}/comm").read_text().strip() == program
    ]


PROGRAMS = {
    "create_stemcell": ("tar",),
    "create_vm": ("runc", "nsenter"),
    "delete_vm": ("runc",),
    "create_disk": ("mkfs.ext4",),
}


@pytest.mark.parametrize(
    ("method", "program"),
    [(method, program) for method, programs in PROGRAMS.items() for program in programs],
)
def test_missing_programs(
    new_daemon: NewDaemon, tmp_path: Path, tiny: Path, method: str, program: str
) -> None:
    """The error for a program that was removed names it; once it is back, calls work."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for directory in ("/bin", "/sbin", "/usr/bin", "/usr/sbin"):
        for entry in os.scandir(directory):
            if not (tools / entry.name).exists() and entry.name not in ("python3",):
                (tools / entry.name).symlink_to(entry.path)
    daemon = new_daemon(path=str(tools)).start()
    stemcell = daemon.create_stemcell(tiny)
    vm = daemon.create_vm(stemcell)
    calls = {
        "create_stemcell": [str(images.another(tiny, tmp_path / "image")), {}],
        "create_vm": vm_arguments(stemcell),
        "delete_vm": [vm.cid],
        "create_disk": [4, {}, None],
    }
    aside = tmp_path / program
    (tools / program).rename(aside)
    error = daemon.cpi.error(method, *calls[method])
    assert program in error["message"], error
    assert (
        "No such file or directory" in error["message"] or "not found" in error["message"]
    )
    daemon.wait_for_removals()
    aside.rename(tools / program)
    result = daemon.cpi.ok(method, *calls[method])
    if method == "create_disk":
        daemon.cpi.ok("delete_disk", result)


@pytest.mark.parametrize("offset", [-86_400, 86_400])
def test_a_clock_that_jumps(new_daemon: NewDaemon, tiny: Path, offset: int) -> None:
    """When the clock jumps, no timer fires early or hangs, and no call is broken off."""
    daemon = new_daemon(network_type="tcp")
    daemon.launcher = clock.LAUNCHER
    daemon.start()
    stemcell = daemon.create_stemcell(tiny)
    with daemon.connection() as idle:
        idle.call("Ping")
        calls = [daemon.cpi.start("create_vm", *vm_arguments(stemcell)) for _ in range(4)]
        (daemon.home / clock.OFFSET).write_text(str(offset))
        for call in calls:
            answer = daemon.cpi.finish(call)
            assert answer["error"] is None, answer
        # The idle time is not over, and timers fire in time.
        idle.call("Ping")
        vm_cid = answer["result"][0]
        began = time.monotonic()
        daemon.cpi.ok("reboot_vm", vm_cid)
        assert time.monotonic() - began < 20
