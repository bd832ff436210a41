"""A work_dir: its directories are private, and one daemon at a time uses it."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
from pathlib import Path

import pytest

from runc_cpi.daemon.storage.depot import Depot
from runc_cpi.daemon.storage.records import write_record


@pytest.fixture
def depot(tmp_path: Path) -> Depot:
    """Return a depot that is not prepared yet."""
    return Depot(tmp_path / "some" / "where")


def test_everything_missing_is_made(depot: Depot) -> None:
    """All directories are made, those above too, and only root may look into them."""
    before = os.umask(0)
    try:
        depot.prepare()
    finally:
        os.umask(before)
    for path in (depot.work_dir, depot.stemcells, depot.vms, depot.scratch, depot.runtime):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    assert stat.S_IMODE((depot.work_dir / "lock").stat().st_mode) == 0o600
    depot.release()


def test_a_directory_of_others_keeps_its_mode(tmp_path: Path) -> None:
    """
    A directory of other programs that is the C{work_dir} keeps its mode.

    What the daemon makes in it is private all the same.
    """
    tmp_path.chmod(0o755)
    (tmp_path / "of-another-program").mkdir()
    depot = Depot(tmp_path)
    depot.prepare()
    depot.release()
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755
    assert stat.S_IMODE(depot.vms.stat().st_mode) == 0o700


def test_one_daemon_at_a_time(depot: Depot) -> None:
    """A second daemon is refused at once, and can start when the first has ended."""
    depot.prepare()
    second = Depot(depot.work_dir)
    with pytest.raises(BlockingIOError):
        second.prepare()
    depot.release()
    second.prepare()
    second.release()
    second.release()


def test_children_of_an_earlier_daemon_are_waited_for(depot: Depot) -> None:
    """A daemon does nothing before the children of an earlier one have ended."""
    depot.prepare()
    ended = depot.work_dir / "ended"
    with subprocess.Popen(["sh", "-c", f"sleep 0.3; : >{ended}"], pass_fds=(depot.mark,)):
        depot.release()
        second = Depot(depot.work_dir)
        second.prepare()
        assert ended.exists()
        second.release()


def test_children_that_do_not_end_are_named(
    depot: Depot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Children that do not end in time are named with their pids."""
    monkeypatch.setattr("runc_cpi.daemon.storage.lock.CHILDREN_TIMEOUT", 0.1)
    depot.prepare()
    child = subprocess.Popen(["sleep", "60"], pass_fds=(depot.mark,))
    depot.release()
    try:
        with pytest.raises(TimeoutError, match=rf"^{child.pid} \(sleep\)$"):
            Depot(depot.work_dir).prepare()
    finally:
        child.kill()
        child.wait()


def test_children_that_may_be_ended(depot: Depot) -> None:
    """Children that hold the lock and may be ended are ended, and no others."""
    depot.prepare()
    left = subprocess.Popen(["sleep", "60"], pass_fds=(depot.mark,))
    with open(depot.work_dir / "children") as file:
        # It has the file open, and not the lock: that goes with the descriptor.
        other = subprocess.Popen(["sleep", "60"], pass_fds=(file.fileno(),))
    depot.release()
    second = Depot(depot.work_dir)
    try:
        second.prepare(may_end=lambda pid: pid in (left.pid, other.pid))
        assert left.wait(10) == -signal.SIGKILL
        assert other.poll() is None
    finally:
        second.release()
        for child in (left, other):
            child.kill()
            child.wait()


def test_children_of_others_are_spared(
    depot: Depot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A child that may not be ended lives on, whoever else is ended."""
    monkeypatch.setattr("runc_cpi.daemon.storage.lock.CHILDREN_TIMEOUT", 0.3)
    depot.prepare()
    ours, theirs = (
        subprocess.Popen(["sleep", "60"], pass_fds=(depot.mark,)) for _ in range(2)
    )
    depot.release()
    try:
        with pytest.raises(TimeoutError, match=rf"^{theirs.pid} \(sleep\)$"):
            Depot(depot.work_dir).prepare(may_end=lambda pid: pid == ours.pid)
        assert theirs.poll() is None
    finally:
        for child in (ours, theirs):
            child.kill()
            child.wait()


def test_drafts_are_removed(depot: Depot) -> None:
    """Drafts of records that a crash left are removed."""
    depot.prepare()
    depot.release()
    (depot.disks / "disk-1").mkdir()
    write_record(depot.disks / "disk-1" / "disk.json", {"a": 1})
    (depot.disks / "disk-1" / "disk.json.new").write_text('{"a"')
    depot.prepare()
    assert os.listdir(depot.disks / "disk-1") == ["disk.json"]
    depot.release()


def test_a_file_in_the_way_is_an_os_error(tmp_path: Path) -> None:
    """A file where a directory is needed is an OSError."""
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="Not a directory"):
        Depot(tmp_path / "file" / "below").prepare()
