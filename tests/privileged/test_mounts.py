"""Disks that are looked for in mount namespaces whose processes end meanwhile."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from runc_cpi.daemon.host.disks import mounts
from runc_cpi.daemon.host.disks.mountinfo import Mount
from runc_cpi.daemon.host.namespaces import unshare_fs
from runc_cpi.errors import CloudError
from tests.harness.waiting import eventually

# $1: where a file system is mounted.  Two processes in a mount namespace of their own.
SCRIPT = 'mount -t tmpfs disk "$1" && touch "$1/ready" && { sleep 600 & } && exec sleep 600'


@pytest.fixture
def point(tmp_path: Path) -> Path:
    """Where something is mounted that the host does not see."""
    path = tmp_path / "point"
    path.mkdir()
    return path


@pytest.fixture
def members(point: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Two processes that have it mounted, and are all that there are of a VM."""
    argv = ["unshare", "--mount", "sh", "-ec", SCRIPT, "sh", str(point)]
    with subprocess.Popen(argv, start_new_session=True) as first:
        children = Path(f"/proc/{first.pid}/task/{first.pid}/children")
        eventually(lambda: _program(first.pid) == "sleep", "both are there")
        pids = [first.pid, int(children.read_text())]
        monkeypatch.setattr(mounts, "members_of_namespaces", lambda _: [pids])
        yield pids
        os.killpg(first.pid, 9)


def _program(pid: int) -> str:
    return Path(f"/proc/{pid}/comm").read_text().strip()


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def is_wanted(mount: Mount) -> bool:
    """Say whether a mount is the one in question."""
    return mount.point.endswith("/point")


def unmount() -> None:
    """Unmount it, in a thread that may get into other namespaces."""
    with ThreadPoolExecutor(1, initializer=unshare_fs) as thread:
        thread.submit(mounts.unmount_everywhere, "", is_wanted).result()


def device_of(pid: int, point: Path) -> int:
    """Return the number of the file system that a process has mounted."""
    return os.stat(f"/proc/{pid}/root{point}").st_dev


def end_after(
    function: Callable[..., list[str]], ending: list[int]
) -> Callable[..., list[str]]:
    """Have a process end as soon as its mounts were read."""

    def reading(pid: int, wanted: Callable[[Mount], bool]) -> list[str]:
        points = function(pid, wanted)
        if pid in ending:
            os.kill(pid, 9)
            root = Path(f"/proc/{pid}/root")
            eventually(lambda: not root.is_dir(), "it has ended")
        return points

    return reading


def test_one_that_ends_while_it_is_looked_at(
    members: list[int], point: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process of the namespace is asked, and the file system is opened."""
    device = device_of(members[1], point)
    monkeypatch.setattr(mounts, "mount_points", end_after(mounts.mount_points, members[:1]))
    fd = mounts.open_mounted("", device, is_wanted)
    assert fd is not None
    assert os.listdir(fd) == ["ready"]
    os.close(fd)


def test_one_that_nobody_has_taken_note_of(members: list[int], point: Path) -> None:
    """A process that has ended, and is still there for its parent, is passed over."""
    device = device_of(members[1], point)
    os.kill(members[0], 9)
    eventually(lambda: _state(members[0]) == "Z", "it has ended")
    fd = mounts.open_mounted("", device, is_wanted)
    assert fd is not None
    os.close(fd)
    unmount()
    assert not mounts.mount_points(members[1], is_wanted)


def test_all_end_while_they_are_looked_at(
    members: list[int], point: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the last process the mount is gone as well."""
    device = device_of(members[1], point)
    monkeypatch.setattr(mounts, "mount_points", end_after(mounts.mount_points, members))
    assert mounts.open_mounted("", device, is_wanted) is None


def test_under_another_mount(members: list[int], point: Path) -> None:
    """What is hidden is out of reach, and the error says where."""
    device = device_of(members[1], point)
    enter = ["nsenter", f"--mount=/proc/{members[1]}/ns/mnt"]
    subprocess.run([*enter, "mount", "-t", "tmpfs", "other", str(point)], check=True)
    with pytest.raises(CloudError, match=f"{point}, under another mount"):
        mounts.open_mounted("", device, lambda mount: mount.point == str(point))


def test_unmounting_where_the_first_has_ended(
    members: list[int], point: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The namespace that others are in is reached through them."""
    monkeypatch.setattr(
        mounts, "members_of_namespaces", lambda _: [[2**22 - 1, members[1]]]
    )
    unmount()
    assert not mounts.mount_points(members[1], is_wanted)
