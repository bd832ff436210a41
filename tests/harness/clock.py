"""
A daemon whose time of day can be set.

Run in place of C{twistd}, with the same arguments: the time of day is off by the seconds
that the file L{OFFSET} in the current directory holds, if it is there.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

OFFSET = "clock-offset"
LAUNCHER = (sys.executable, str(Path(__file__).resolve()))
_true_time = time.time


def shifted() -> float:
    """Return the time of day, as it was set."""
    try:
        return _true_time() + float(Path(OFFSET).read_text("ascii"))
    except (FileNotFoundError, ValueError):
        return _true_time()


if __name__ == "__main__":
    # Before Twisted takes hold of the true one.
    time.time = shifted
    from twisted.scripts.twistd import run

    sys.exit(run())
