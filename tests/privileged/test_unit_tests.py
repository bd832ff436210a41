"""That unit tests need neither root nor what root would make for them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
NOBODY = 65534
# Of the areas where root was once needed, and one more; all would take long.
SOME = ("unit/storage/test_tree.py", "unit/host/test_sockets.py", "unit/test_errors.py")


@pytest.fixture
def home() -> Iterator[Path]:
    """A directory for an ordinary user; pytest's own are below one for root alone."""
    home = Path(tempfile.mkdtemp(prefix="cpi"))
    os.chown(home, NOBODY, NOBODY)
    yield home
    shutil.rmtree(home)


def test_unit_tests_run_as_an_ordinary_user(home: Path) -> None:
    """They pass, and none is skipped."""
    become = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    if subprocess.run([*become, "test", "-r", __file__], check=False).returncode != 0:
        pytest.skip("no ordinary user can read this clone")
    finished = subprocess.run(
        [
            *become,
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"),
            *("--basetemp", str(home / "tmp")),
            *(f"tests/{name}" for name in SOME),
        ],
        cwd=PROJECT,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "PYTHONDONTWRITEBYTECODE": "1",
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stdout
    assert " passed" in finished.stdout
    assert "skipped" not in finished.stdout
