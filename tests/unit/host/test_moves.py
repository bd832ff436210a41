"""Moves between cgroups that are waited for beforehand, in the cgroups of this machine."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from runc_cpi.daemon.host.cgroups import hierarchies, moves
from tests.harness.waiting import eventually


def made(root: Path, name: str) -> Path:
    """Make a directory like that of a cgroup."""
    directory = root / name
    directory.mkdir(parents=True)
    (directory / "cgroup.procs").touch()
    return directory


def own(root: Path, *lines: str) -> list[Path]:
    """Return what is found of a process whose cgroups are told by these lines."""
    table = root / "table"
    table.write_text("".join(f"{line}\n" for line in lines))
    return list(hierarchies.own(root, table))


def test_where_a_process_is(tmp_path: Path) -> None:
    """Each hierarchy has a directory by its controllers, or by its name."""
    there = made(tmp_path, "pids/a/b"), made(tmp_path, "systemd/c")
    made(tmp_path, "cpu,cpuacct")
    assert own(tmp_path, "9:pids:/a/b", "1:name=systemd:/c", "3:memory:/a") == [*there]
    assert own(tmp_path, "4:cpu,cpuacct:/") == [tmp_path / "cpu,cpuacct"]


@pytest.mark.parametrize("name", ["a:b/c", "unified/a:b/c"])
def test_where_a_process_is_on_v2(tmp_path: Path, name: str) -> None:
    """The only hierarchy of v2 is at the root, or beside those of v1; paths have colons."""
    assert own(tmp_path, "0::/a:b/c") == []
    directory = made(tmp_path, name)
    assert own(tmp_path, "0::/a:b/c") == [directory]


def test_a_process_outside_of_what_it_sees(tmp_path: Path) -> None:
    """What its cgroup namespace does not show is not looked for elsewhere."""
    made(tmp_path, "a")
    made(tmp_path, "pids")
    assert own(tmp_path, "0::/../a", "9:pids:/..") == []


def test_a_move_to_nowhere() -> None:
    """The kernel takes it again and again, and this process stays where it is."""
    before = Path("/proc/self/cgroup").read_text()
    processes = moves.opened()
    assert processes is not None
    try:
        assert all(moves.move_nowhere(processes) for _ in range(3))
    finally:
        os.close(processes)
    assert Path("/proc/self/cgroup").read_text() == before


def test_a_process_in_no_cgroup(tmp_path: Path) -> None:
    """Nothing is made where no cgroup is."""
    assert moves.opened(tmp_path) is None
    assert list(tmp_path.iterdir()) == []


class Moved:
    """
    Counts moves.

    @ivar count: how many there were. @ivar succeeds: what becomes of them.
    """

    def __init__(self) -> None:
        self.count, self.succeeds = 0, True

    def __call__(self, _: int) -> bool:
        self.count += 1
        return self.succeeds


@pytest.fixture
def moved(monkeypatch: pytest.MonkeyPatch) -> Moved:
    """Count moves that would go on for an hour."""
    counting = Moved()
    monkeypatch.setattr(moves, "move_nowhere", counting)
    monkeypatch.setattr(moves, "LASTING", 3600.0)
    return counting


def movers() -> int:
    """Return how many threads move this process."""
    return sum(thread.name == "moves" for thread in threading.enumerate())


def test_moves_go_on_for_a_while(moved: Moved, monkeypatch: pytest.MonkeyPatch) -> None:
    """One thread moves again and again, and ends by itself."""
    hastened = moves.Moves()
    for _ in range(3):
        hastened.hasten()
    assert movers() == 1
    eventually(lambda: moved.count > 3, "the process is moved more than once")
    monkeypatch.setattr(moves, "LASTING", -1.0)
    hastened.hasten()
    eventually(lambda: movers() == 0, "the thread has ended")
    before = moved.count
    hastened.hasten()
    eventually(lambda: moved.count > before and movers() == 0, "the same once more")


def test_a_kernel_that_refuses(moved: Moved) -> None:
    """The thread ends, and the next time it is tried again."""
    moved.succeeds, hastened = False, moves.Moves()
    for number in (1, 2):
        hastened.hasten()
        eventually(lambda: movers() == 0, "the thread has ended")
        assert moved.count == number


def test_there_is_nothing_to_write_to(
    moved: Moved, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread ends without a move."""

    def refuse() -> None:
        raise PermissionError

    monkeypatch.setattr(moves, "opened", refuse)
    moves.Moves().hasten()
    eventually(lambda: movers() == 0, "the thread has ended")
    assert moved.count == 0


def test_there_is_no_thread(moved: Moved, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is told, and once there are threads again it is done."""

    def refuse(**_: object) -> None:
        raise RuntimeError("can't start new thread")

    hastened = moves.Moves()
    with monkeypatch.context() as patch:
        patch.setattr(moves, "Thread", refuse)
        hastened.hasten()
    moved.succeeds = False
    hastened.hasten()
    eventually(lambda: moved.count == 1, "the process is moved")
