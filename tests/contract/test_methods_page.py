"""docs/methods.md shows the CPI's methods and errors as they are in the code."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import runc_cpi

DOCS = Path(runc_cpi.__file__).parents[1] / "docs"


def test_the_page_is_up_to_date() -> None:
    """The page has all methods, with their arguments, commands and errors."""
    argv = [sys.executable, str(DOCS / "methods.py"), "--check"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
