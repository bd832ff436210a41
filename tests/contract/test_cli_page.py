"""docs/cli.md shows the command line of C{runc-cpictl} as it is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import runc_cpi

DOCS = Path(runc_cpi.__file__).parents[1] / "docs"


def test_the_page_is_up_to_date() -> None:
    """The page has what each command says with C{--help}."""
    argv = [sys.executable, str(DOCS / "cli.py"), "--check"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
