"""docs/performance.md has the table of docs/benchmarks.json."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import runc_cpi

DOCS = Path(runc_cpi.__file__).parents[1] / "docs"


def test_the_table_is_up_to_date() -> None:
    """Nobody has typed into the table."""
    argv = [sys.executable, str(DOCS / "benchmarks.py"), "--check"]
    done = subprocess.run(argv, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
