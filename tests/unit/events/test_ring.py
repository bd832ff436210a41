"""The events on disk: bounded, and readable after whatever happened to the files."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from runc_cpi.daemon.events.filters import ALL, Filters
from runc_cpi.daemon.events.ring import CHUNK, NEW, OLD, Ring
from tests.unit.events.examples import event

SIZE = 64 << 10


@pytest.fixture
def ring(tmp_path: Path) -> Ring:
    """A small ring."""
    return Ring(tmp_path, SIZE)


def numbers(ring: Ring, limit: int = 10_000, **filters: Any) -> list[int]:
    """Return the numbers of the events that are wanted."""
    return [found.number for found in ring.newest(Filters.parse(filters), limit)]


def test_the_newest_come_first(ring: Ring) -> None:
    """Events come back, the newest first, and only so many, below a number, as wanted."""
    assert numbers(ring) == []
    for number in range(1, 9):
        ring.append([event(number, method="reboot_vm" if number % 4 == 0 else "has_vm")])
    assert numbers(ring) == [8, 7, 6, 5, 4, 3, 2, 1]
    assert numbers(ring, 2) == [8, 7]
    assert numbers(ring, 2, method="reboot_vm") == [8, 4]
    assert numbers(ring, since=1767225606) == [8, 7, 6]
    below = ring.newest(ALL, 2, before=4)
    assert below == [event(3), event(2)]


def test_below_a_number(tmp_path: Path) -> None:
    """Events below a number are found, wherever they are, also beside torn lines."""
    ring = Ring(tmp_path, 4 << 20)
    ring.append([event(number) for number in range(1, 3001)])
    for before in (1, 2, 700, 1500, 2999, 3000, 3001, 9999):
        found = [each.number for each in ring.newest(ALL, 3, before)]
        top = min(before - 1, 3000)
        assert found == list(range(top, max(top - 3, 0), -1)), before
    path = tmp_path / NEW
    whole = path.read_bytes()
    middle = len(whole) // 2
    path.write_bytes(whole[:middle] + b"x" * CHUNK + whole[middle:])
    assert [each.number for each in ring.newest(ALL, 2, 500)] == [499, 498]
    assert [each.number for each in ring.newest(ALL, 2, 2500)] == [2499, 2498]


def test_it_is_bounded(ring: Ring, tmp_path: Path) -> None:
    """However many events come, the files stay within bounds, and the last are there."""
    for first in range(1, 3001, 100):
        ring.append([event(number) for number in range(first, first + 100)])
        assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= SIZE
    kept = numbers(ring)
    assert kept == list(range(3000, 3000 - len(kept), -1))
    assert len(kept) * len(event(1).line()) > SIZE // 2 - 1000
    assert sorted(os.listdir(tmp_path)) == [NEW, OLD]
    assert (tmp_path / NEW).stat().st_mode & 0o777 == 0o600


def test_another_daemon_goes_on(ring: Ring, tmp_path: Path) -> None:
    """The next daemon finds the events, also when the newest are in the older file."""
    ring.append([event(number) for number in range(1, 400)])
    ring.close()
    assert Ring(tmp_path, SIZE).last_number() == 399
    (tmp_path / NEW).unlink()
    assert 0 < Ring(tmp_path, SIZE).last_number() < 399
    (tmp_path / OLD).unlink()
    assert Ring(tmp_path, SIZE).last_number() == 0


@pytest.mark.parametrize("damage", [b"", b"\0" * 5000, b'{"number": 9', b"\xff\n\n[]\n"])
def test_damaged_files(ring: Ring, tmp_path: Path, damage: bytes) -> None:
    """A line that is torn, and what is no event, costs no other event."""
    ring.append([event(1), event(2)])
    ring.close()
    path = tmp_path / NEW
    path.write_bytes(path.read_bytes()[:-20] + damage)
    again = Ring(tmp_path, SIZE)
    assert again.last_number() == 1
    again.append([event(2), event(3)])
    assert numbers(again) == [3, 2, 1]


def test_long_lines(ring: Ring) -> None:
    """Events are found whatever lies at the ends of what is read at once."""
    texts = ["x" * size for size in (CHUNK // 8 - 300, 1, 700, 0)] * 2
    ring.append([event(n, text=text) for n, text in enumerate(texts, 1)])
    assert [found.text for found in ring.newest(ALL, 99)] == texts[::-1]


def test_a_full_disk(ring: Ring, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of what could be written in part, nothing is left; later it can be written again."""
    ring.append([event(1)])
    whole = (tmp_path / NEW).read_bytes()
    write = os.write

    def fill(fd: int, data: memoryview) -> int:
        if len(data) < 100:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(fd, data[:100])

    monkeypatch.setattr(os, "write", fill)
    with pytest.raises(OSError, match="No space"):
        ring.append([event(2), event(3)])
    assert (tmp_path / NEW).read_bytes() == whole
    monkeypatch.undo()
    ring.append([event(2), event(3)])
    assert numbers(ring) == [3, 2, 1]


def test_what_was_written_twice(ring: Ring) -> None:
    """Events that another attempt wrote again are found once."""
    ring.append([event(1), event(2)])
    ring.append([event(1), event(2), event(3)])
    assert numbers(ring) == [3, 2, 1]


def test_files_that_are_gone(ring: Ring, tmp_path: Path) -> None:
    """When somebody removes the files, the next events are written to new ones."""
    ring.append([event(1)])
    (tmp_path / NEW).unlink()
    assert numbers(ring) == []
    ring.append([event(2)])
    assert numbers(ring) == [2]


def test_no_link_is_followed(tmp_path: Path) -> None:
    """A link in place of the file is refused."""
    (tmp_path / NEW).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic links"):
        Ring(tmp_path, SIZE).append([event(1)])
    assert not (tmp_path / "elsewhere").exists()
