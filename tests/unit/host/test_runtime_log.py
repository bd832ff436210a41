"""The log of the OCI runtime: its last error is what a failed call is reported with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from runc_cpi.daemon.host.oci.runtime_log import LOG_TAIL, last_error


def lines(*entries: object) -> str:
    """Return log lines."""
    return "".join(json.dumps(entry) + "\n" for entry in entries)


ERROR = {"level": "error", "msg": "exec: no such file", "time": "2030-01-02T03:04:05Z"}
WARNING = {"level": "warning", "msg": "no such cgroup"}


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (lines(ERROR), "exec: no such file"),
        (lines({**ERROR, "msg": "first"}, ERROR, WARNING), "exec: no such file"),
        (lines({**ERROR, "level": "fatal"}), "exec: no such file"),
        (lines(WARNING), None),
        (lines([], 5, None), None),
        (lines(ERROR) + "half a li", "exec: no such file"),
        (lines(ERROR) + "\x00\xff\n", "exec: no such file"),
        (lines({"level": "error"}), ""),
        ("", None),
    ],
)
def test_the_last_error_counts(tmp_path: Path, content: str, expected: str | None) -> None:
    """The last error of a log is found among warnings and what is no JSON."""
    log = tmp_path / "log"
    log.write_text(content, "latin-1")
    assert last_error(log) == expected


def test_a_long_log_is_read_from_its_end(tmp_path: Path) -> None:
    """A long log is read from its end."""
    log = tmp_path / "log"
    log.write_text(lines(*[WARNING] * 50_000, ERROR))
    assert log.stat().st_size > LOG_TAIL
    assert last_error(log) == "exec: no such file"


def test_no_log_is_no_error(tmp_path: Path) -> None:
    """An OCI runtime that could not be started has no log, and no error in it."""
    assert last_error(tmp_path / "none") is None
