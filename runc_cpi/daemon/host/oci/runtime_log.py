"""Why the OCI runtime failed: the last error of its log, or the last line of a console."""

from __future__ import annotations

import json
from pathlib import Path

LOG_TAIL = 8192  # bytes that are read, from the end of a file


def last_error(log: Path) -> str | None:
    """
    Return the last error of an OCI runtime's JSON log, or L{None} if there is none.

    @param log: the log, which need not be there.
    """
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - LOG_TAIL))
            lines = file.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return None
    for line in reversed(lines):
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict) and entry.get("level") in ("error", "fatal"):
            return str(entry.get("msg", ""))
    return None


def last_line(path: Path, begin: int) -> str | None:
    """
    Return the last line of a file that is not blank, or L{None} if there is none.

    @param begin: the offset in bytes before which nothing is read.
    """
    try:
        with path.open("rb") as file:
            file.seek(max(begin, path.stat().st_size - LOG_TAIL))
            lines = file.read().decode("utf-8", "replace").split("\n")
    except OSError:
        return None
    lines = [line.strip() for line in lines if line.strip()]
    return lines[-1] if lines else None
