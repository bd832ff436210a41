"""What runs in a cell cannot change the machine, and leaves nothing."""

from __future__ import annotations

import os
import subprocess
import tempfile
from hashlib import sha256
from pathlib import Path

import pytest

from tests.distributions.cell import CGROUPS, Cell
from tests.harness import images
from tests.harness.waiting import eventually

HOME = Path("/var/tmp/example")
PARENT = f"runc-cpid-{sha256(str(HOME).encode()).hexdigest()[:8]}"


@pytest.fixture
def cell(tmp_path: Path) -> Cell:
    """A cell with nothing but busybox, and a directory of a daemon."""
    root = tmp_path / "root"
    for name in ("bin", "dev", "mnt", "proc", "run", "sys", "tmp", str(HOME)[1:]):
        (root / name).mkdir(parents=True)
    busybox = root / "bin" / "busybox"
    busybox.write_bytes(images.take_out(images.bootable("runit"), "./usr/bin/busybox"))
    busybox.chmod(0o755)
    subprocess.run([busybox, "--install", root / "bin"], check=True)
    return Cell(root)


def run(cell: Cell, script: str, *, seconds: float = 60, online: bool = False) -> str:
    """Run a script, which must end well; return what it said."""
    with tempfile.TemporaryFile() as output:
        status = cell.run(
            ["/bin/busybox", "sh", "-euc", script],
            directory=HOME,
            environment={},
            output=output,
            seconds=seconds,
            online=online,
        )
        output.seek(0)
        told = output.read().decode()
    assert status == 0, told
    return told


@pytest.mark.parametrize("online", [True, False])
def test_settings_of_the_kernel_stay(cell: Cell, online: bool) -> None:
    """Those that all namespaces share cannot be written."""
    setting = "/proc/sys/vm/max_map_count"
    told = run(cell, f"cat {setting} >{setting} && exit 1 || echo kept", online=online)
    assert "Read-only file system" in told
    assert told.endswith("kept\n")


def test_a_network_of_its_own(cell: Cell) -> None:
    """There is only the loopback, whose settings can be written."""
    told = run(cell, "ls /sys/class/net; echo 1 >/proc/sys/net/ipv4/ip_forward")
    assert told == "lo\n"


def test_no_devices_online(cell: Cell) -> None:
    """With the machine's network it has neither devices nor cgroups."""
    assert run(cell, "ls /dev /sys", online=True).split() == ["/dev:", "/sys:"]


def test_only_its_own_files(cell: Cell) -> None:
    """It sees its tree and the mounts of a machine, and works in the given directory."""
    told = run(cell, "pwd; ls /mnt; hostname; grep -c /mnt /proc/mounts || true")
    assert told.split() == [str(HOME), "cell", "0"]


def test_all_ends_and_is_removed(cell: Cell) -> None:
    """A program that is ended leaves a cgroup, processes and a loop device: all go."""
    tops = [CGROUPS, *(path for path in CGROUPS.iterdir() if path.is_dir())]
    top = next(path for path in tops if (path / "cgroup.procs").exists())
    script = f"""
        mkdir -p {top / PARENT}/vm
        echo $$ >{top / PARENT}/vm/cgroup.procs
        dd if=/dev/zero of=disk bs=1024 count=64
        losetup -f disk
        losetup -a | grep disk
        setsid sleep 1000 &
        sleep 1000
    """
    with pytest.raises(subprocess.TimeoutExpired):
        run(cell, script, seconds=2)
    left = cell.clean()
    assert f"cgroup {top / PARENT}/vm" in left
    assert [line for line in left if line.startswith("loop device /dev/loop")]
    assert not (top / PARENT).exists()
    eventually(lambda: not within(cell.root), "its processes have ended")
    assert cell.clean() == []


def within(root: Path) -> list[str]:
    """Return the processes that run a program of a tree."""
    busybox, found = os.stat(root / "bin" / "busybox"), []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.path.samestat(os.stat(f"/proc/{pid}/exe"), busybox):
                found.append(pid)
        except OSError:
            continue
    return found
