"""VMs beside many others: the runtime sees one, and the daemon has room for all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import pytest

from runc_cpi.daemon.host import mounting
from runc_cpi.daemon.host.high_descriptors import LOW
from runc_cpi.daemon.host.oci import other_mounts
from tests.harness import trees
from tests.harness.lab import Lab, NewDaemon

# It notes what is mounted where a container is made.
RUNTIME = """\
#!/bin/sh
case " $* " in *" create "*) cat /proc/self/mountinfo >{directory}/seen ;; esac
exec {runc} "$@"
"""


def many() -> int:
    """Return more than what is mounted here, and what a daemon and a test mount besides."""
    mounts = Path("/proc/self/mountinfo").read_text().count("\n")
    return max(other_mounts.FEW, mounts + 16)


@pytest.fixture
def others(lab: Lab, leaves_nothing: None) -> Iterator[Path]:
    """Mounts like those of the VMs of another daemon; their directory is returned."""
    vms = lab.home / "other" / "vms"
    made = [vms / f"vm-{uuid4()}" / "layers" for _ in range(many())]
    try:
        for directory in made:
            directory.mkdir(parents=True)
            mounting.mount_memory(str(directory), 1 << 16)
        yield vms
    finally:
        for directory in made:
            mounting.detach(str(directory))
        trees.remove(vms.parent)


def pidfds(pid: int) -> Iterator[int]:
    """Return the numbers of the descriptors by which a process holds others."""
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            if "[pidfd]" in os.readlink(fd):
                yield int(fd.name)


@pytest.mark.parametrize("profile", ["default", "isolated"])
def test_the_runtime_sees_one_vm(
    profile: str, new_daemon: NewDaemon, tiny: Path, others: Path, tmp_path: Path
) -> None:
    """A VM boots, with its disks, and its runtime saw no mounts of others."""
    runtime = tmp_path / "runtime"
    runtime.write_text(RUNTIME.format(directory=tmp_path, runc=shutil.which("runc")))
    runtime.chmod(0o755)
    config = {"runtime": str(runtime), "security": {"profile": profile}}
    daemon = new_daemon(config=config).start()
    properties = {"ephemeral_disk": 64}
    vm = daemon.create_vm(daemon.create_stemcell(tiny), cloud_properties=properties)
    seen = (tmp_path / "seen").read_text()
    assert str(others) not in seen
    assert str(vm.directory / "layers") in seen
    assert "/proc" in seen
    vm.shell("echo kept >/kept; echo kept >/var/vcap/data/kept; mount | grep -q /sys")
    daemon.cpi.ok("reboot_vm", vm.cid)
    assert vm.read("/kept") == vm.read("/var/vcap/data/kept") == "kept\n"
    # The host has them all the same.
    mounts = Path("/proc/self/mountinfo").read_text()
    assert mounts.count(str(others)) == len(list(others.iterdir()))
    assert str(vm.directory / "layers") in mounts
    # Beside many VMs each has descriptors, which must not have the low numbers.
    assert daemon.process is not None
    (number,) = pidfds(daemon.process.pid)
    assert number >= LOW
