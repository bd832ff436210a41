"""Keeping file systems writable, tried on one that nothing else uses."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

import pytest
from twisted.logger import capturedLogs

from runc_cpi.daemon.host import mounting, shared_mounts
from runc_cpi.daemon.host.disks import mountinfo
from runc_cpi.daemon.host.shared_mounts import SharedMounts

READ_ONLY = mounting.MS_REMOUNT | 1  # MS_RDONLY


@pytest.fixture
def point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A file system that counts as shared."""
    monkeypatch.setattr(shared_mounts, "SHARED", ("tmpfs",))
    with mounted(tmp_path):
        yield tmp_path


@contextmanager
def mounted(point: Path) -> Iterator[None]:
    """Mount a file system in memory for a while."""
    options = "nosuid,size=1m,mode=700"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "own", str(point)], check=True)
    yield
    subprocess.run(["umount", "--lazy", "--recursive", str(point)], check=True)


def remount(point: Path) -> bool:
    """Make a file system read-only, and say whether that was possible."""
    command = ["mount", "-o", "remount,ro", str(point)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def hold(shared: SharedMounts, *points: Path) -> None:
    """Hold what is mounted in some places."""
    mounts = mountinfo.read(os.getpid())
    shared.hold(mount for mount in mounts if mount.point in map(str, points))


def test_held(point: Path) -> None:
    """It cannot be made read-only until it is let go of."""
    shared = SharedMounts()
    hold(shared, point)
    assert not remount(point)
    shared.release()
    assert remount(point)


def test_read_only_before(point: Path) -> None:
    """It is made writable with the options that it had, and held."""
    assert remount(point)
    before = os.statvfs(point)
    shared = SharedMounts()
    hold(shared, point)
    assert not remount(point)
    after = os.statvfs(point)
    assert after.f_flag == before.f_flag & ~os.ST_RDONLY
    assert after.f_flag & os.ST_NOSUID
    assert after.f_blocks == before.f_blocks
    shared.release()


def test_hidden(point: Path) -> None:
    """Of two that are mounted in one place, the one that can be seen is held."""
    shared = SharedMounts()
    with mounted(point):
        hold(shared, point)
        assert not remount(point)
        (held,) = shared.descriptors
        assert os.fstat(held).st_dev == point.stat().st_dev
        shared.release()


def test_again_and_again(point: Path) -> None:
    """It is held in the end though it is made read-only over and over."""
    done = Event()

    def keep_on() -> None:
        while not done.is_set():
            try:
                mounting._mount("none", str(point), "none", READ_ONLY)
            except OSError:
                continue

    assert remount(point)
    hostile = Thread(target=keep_on)
    hostile.start()
    shared = SharedMounts()
    try:
        hold(shared, point)
        assert len(shared.descriptors) == 1
    finally:
        done.set()
        hostile.join()
        shared.release()


def test_what_cannot_be_held(point: Path) -> None:
    """It is reported once, unless another mount of the same file system is held."""
    node = point / "node"
    node.touch()
    for _ in range(2):
        subprocess.run(["mount", "--bind", str(node), str(node)], check=True)
    shared = SharedMounts()
    with capturedLogs() as events:
        hold(shared, node)
    assert [event["point"] for event in events] == [str(node)]
    with capturedLogs() as events:
        hold(shared, node, point)
    assert len(shared.descriptors) == 1
    assert not events
    shared.release()
