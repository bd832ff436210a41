"""Console logs stay small, and what a VM wrote last is kept."""

from __future__ import annotations

import os
from pathlib import Path

from runc_cpi.daemon.host.oci.console_trimmer import (
    LIMIT,
    find_consoles,
    trim,
    trim_all,
)


def write(path: Path, size: int) -> None:
    """Write so many bytes that tell where they are."""
    path.write_bytes(b"".join(b"%07d\n" % n for n in range(size // 8)))


def test_a_short_log_is_left_alone(tmp_path: Path) -> None:
    """Up to the limit."""
    console = tmp_path / "console.log"
    write(console, LIMIT)
    trim(console)
    assert console.stat().st_size == LIMIT
    assert os.listdir(tmp_path) == ["console.log"]


def test_a_long_log_moves_aside(tmp_path: Path) -> None:
    """Its end is what is kept, and together they are bounded."""
    console = tmp_path / "console.log"
    for size in (LIMIT + 8, 3 * LIMIT):
        write(console, size)
        trim(console)
        old = (tmp_path / "console.log.1").read_bytes()
        assert len(old) == LIMIT
        assert old.endswith(b"%07d\n" % (size // 8 - 1))
        assert console.stat().st_size == 0


def test_who_appends_goes_on(tmp_path: Path) -> None:
    """A VM holds its log open; what it writes next is not lost, and makes no hole."""
    console = tmp_path / "console.log"
    with console.open("ab", buffering=0) as file:
        file.write(b"x" * (LIMIT + 1))
        trim(console)
        file.write(b"next")
    assert console.read_bytes() == b"next"


def test_every_vm_is_visited(tmp_path: Path) -> None:
    """Also beside one without a log."""
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
    for name in ("a", "c"):
        write(tmp_path / name / "console.log", 2 * LIMIT)
    assert trim_all(find_consoles(tmp_path)) == {}
    assert sorted(path.parent.name for path in tmp_path.glob("*/console.log.1")) == [
        "a",
        "c",
    ]


def test_one_that_fails_stops_no_other(tmp_path: Path) -> None:
    """It is told of; it is cut short all the same, and so are those after it."""
    consoles = [tmp_path / name / "console.log" for name in ("a", "b")]
    for console in consoles:
        console.parent.mkdir()
        write(console, 2 * LIMIT)
    (tmp_path / "a" / "console.log.1").mkdir()
    assert list(trim_all(find_consoles(tmp_path))) == [consoles[0]]
    assert [console.stat().st_size for console in consoles] == [0, 0]
