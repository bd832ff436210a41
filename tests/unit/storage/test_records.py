"""Records: a reader, and a crash at any moment, sees each of them whole."""

from __future__ import annotations

import json
import os
import stat
import threading
from pathlib import Path

import pytest

from runc_cpi.daemon.storage.records import read_record, write_record


def test_a_record_comes_back(tmp_path: Path) -> None:
    """A record is read as it was written, only root can read it, and no draft stays."""
    path = tmp_path / "vm.json"
    write_record(path, {"a": [1, "\u2603"]})
    assert read_record(path) == {"a": [1, "\u2603"]}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == ["vm.json"]


def test_a_record_that_cannot_be_written_leaves_the_old(tmp_path: Path) -> None:
    """When a record cannot be written, the old content stays whole."""
    path = tmp_path / "vm.json"
    write_record(path, {"version": 1})
    with pytest.raises(TypeError):
        write_record(path, {"big": "x" * 100_000, "bad": object()})
    assert read_record(path) == {"version": 1}


def test_readers_never_see_a_part(tmp_path: Path) -> None:
    """Who reads a record while it is written over sees the old one or the new one."""
    path = tmp_path / "vm.json"
    records = [{"n": n, "filling": str(n) * 50_000} for n in range(2)]
    write_record(path, records[0])
    done = threading.Event()

    def rewrite() -> None:
        for turn in range(60):
            write_record(path, records[turn % 2])
        done.set()

    writer = threading.Thread(target=rewrite)
    writer.start()
    try:
        while not done.is_set():
            assert json.loads(path.read_bytes()) in records
    finally:
        writer.join()


@pytest.mark.parametrize("content", ["", "[]", "null", "{", "\x00"])
def test_what_is_no_record_is_a_value_error(tmp_path: Path, content: str) -> None:
    """A file that is no JSON object is a ValueError."""
    path = tmp_path / "vm.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=r".+"):
        read_record(path)
