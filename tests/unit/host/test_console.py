"""Consoles stay short, and what a VM wrote last is kept."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import succeed
from twisted.internet.task import Clock

from runc_cpi.daemon.host.oci import console_trimmer
from runc_cpi.daemon.host.oci.console_trimmer import (
    INTERVAL,
    LIMIT,
    ConsoleTrimmer,
    find_consoles,
    trim,
    trim_all,
)
from runc_cpi.daemon.storage.bundle import Bundle


def write(path: Path, size: int) -> None:
    """Write so many bytes that tell where they are."""
    path.write_bytes(b"".join(b"%07d\n" % n for n in range(size // 8)))


def test_a_short_log_is_left_alone(tmp_path: Path) -> None:
    """A console of up to the limit is left alone."""
    console = tmp_path / "console.log"
    write(console, LIMIT)
    trim(console)
    assert console.stat().st_size == LIMIT
    assert os.listdir(tmp_path) == ["console.log"]


def test_a_long_log_moves_aside(tmp_path: Path) -> None:
    """The end of a long console is kept beside it, up to the limit."""
    console = tmp_path / "console.log"
    for size in (LIMIT + 8, 3 * LIMIT):
        write(console, size)
        trim(console)
        old = (tmp_path / "console.log.1").read_bytes()
        assert len(old) == LIMIT
        assert old.endswith(b"%07d\n" % (size // 8 - 1))
        assert console.stat().st_size == 0


def test_who_appends_goes_on(tmp_path: Path) -> None:
    """A VM that holds its console open goes on writing to it, and leaves no hole."""
    console = tmp_path / "console.log"
    with console.open("ab", buffering=0) as file:
        file.write(b"x" * (LIMIT + 1))
        trim(console)
        file.write(b"next")
    assert console.read_bytes() == b"next"


def test_every_vm_is_visited(tmp_path: Path) -> None:
    """The consoles of all VMs are trimmed, also beside a VM without one."""
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
    """A console that cannot be moved is cut short all the same, and so are others."""
    consoles = [tmp_path / name / "console.log" for name in ("a", "b")]
    for console in consoles:
        console.parent.mkdir()
        write(console, 2 * LIMIT)
    (tmp_path / "a" / "console.log.1").mkdir()
    assert list(trim_all(find_consoles(tmp_path))) == [consoles[0]]
    assert [console.stat().st_size for console in consoles] == [0, 0]


class Trimmer:
    """A trimmer over directories of VMs, whose threads are this one."""

    def __init__(self, vms: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._vms, self.clock = vms, Clock()
        self.looked_at: list[list[Path]] = []
        monkeypatch.setattr(console_trimmer, "deferToThread", self._in_this_thread)
        self.service = ConsoleTrimmer(self.clock, vms)

    def _in_this_thread(self, work: Any, argument: Any) -> Any:
        if work is trim_all:
            self.looked_at.append([console.parent for console in argument])
        return succeed(work(argument))

    def vm(self, name: str, size: int) -> Bundle:
        """Make a VM that has written so many bytes."""
        bundle = Bundle(self._vms / name)
        bundle.path.mkdir()
        write(bundle.console, size)
        return bundle


@pytest.fixture
def trimmer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Trimmer:
    """A trimmer that is not started yet."""
    return Trimmer(tmp_path, monkeypatch)


def test_consoles_of_before_are_known(trimmer: Trimmer) -> None:
    """A daemon that starts trims the consoles of VMs that ran on without it."""
    bundle = trimmer.vm("vm-1", 2 * LIMIT)
    trimmer.service.startService()
    trimmer.clock.advance(INTERVAL)
    assert bundle.console.stat().st_size == 0
    assert bundle.old_console.stat().st_size == LIMIT


def test_a_new_console_is_looked_at(trimmer: Trimmer) -> None:
    """The console of a VM that boots is trimmed, and no directory is searched for it."""
    trimmer.service.startService()
    other, bundle = trimmer.vm("other", 2 * LIMIT), trimmer.vm("vm-1", 2 * LIMIT)
    trimmer.service.add(bundle)
    trimmer.clock.advance(INTERVAL)
    assert trimmer.looked_at == [[bundle.path]]
    assert other.console.stat().st_size == 2 * LIMIT


def test_nothing_is_looked_at_without_vms(trimmer: Trimmer) -> None:
    """A trimmer without VMs does nothing, before the first and after the last."""
    trimmer.service.startService()
    trimmer.clock.pump([INTERVAL] * 3)
    assert trimmer.looked_at == []
    bundle = trimmer.vm("vm-1", 8)
    trimmer.service.add(bundle)
    bundle.console.unlink()
    bundle.path.rmdir()
    trimmer.clock.pump([INTERVAL] * 3)
    assert trimmer.looked_at == [[bundle.path]]
    trimmer.service.stopService()
    assert trimmer.clock.getDelayedCalls() == []


def test_a_console_comes_back(trimmer: Trimmer) -> None:
    """A console that is gone for a while, as after a reboot of the host, stays known."""
    bundle = trimmer.vm("vm-1", 8)
    trimmer.service.startService()
    bundle.console.unlink()
    trimmer.clock.advance(INTERVAL)
    write(bundle.console, 2 * LIMIT)
    trimmer.clock.advance(INTERVAL)
    assert bundle.console.stat().st_size == 0
