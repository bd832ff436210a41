"""Moves between cgroups that are waited for beforehand, in the cgroups of this machine."""

from __future__ import annotations

from pathlib import Path
from threading import Event

import pytest
from twisted.internet import reactor
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from runc_cpi.daemon.host.cgroups import hierarchies, moves

PAUSE = 0.001  # seconds


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
    """The kernel takes it, and this process stays where it is."""
    before = Path("/proc/self/cgroup").read_text()
    moves.move_nowhere()
    assert Path("/proc/self/cgroup").read_text() == before


def test_a_move_without_a_cgroup(tmp_path: Path) -> None:
    """Nothing is made where no cgroup is."""
    moves.move_nowhere(tmp_path)
    assert list(tmp_path.iterdir()) == []


class MovesTests(TestCase):
    """What is waited for, and how often."""

    timeout = 20

    def setUp(self) -> None:
        self.moves, self.begun, self.can_end = moves.Moves(), 0, Event()

    async def begin(self, number: int) -> None:
        """Ask for moves until so many have begun."""
        while self.begun < number:
            self.moves.hasten()
            await deferLater(reactor, PAUSE)

    async def test_once_at_a_time(self) -> None:
        """Whoever comes while one goes on has the good of that one."""

        def move() -> None:
            self.begun += 1
            self.can_end.wait(self.timeout)

        self.patch(moves, "move_nowhere", move)
        await self.begin(1)
        self.moves.hasten()
        await deferLater(reactor, PAUSE)
        self.assertEqual(self.begun, 1)
        self.can_end.set()
        await self.begin(2)

    async def test_a_failure(self) -> None:
        """Nobody is told, and the next time it is tried again."""

        def refuse() -> None:
            self.begun += 1
            raise PermissionError

        self.patch(moves, "move_nowhere", refuse)
        await self.begin(2)
        self.assertEqual(self.flushLoggedErrors(), [])
