"""docs/performance.md has the table of docs/benchmarks.json."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import runc_cpi

DOCS = Path(runc_cpi.__file__).parents[1] / "docs"
DATA = DOCS / "benchmarks.json"


def benchmarks(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run docs/benchmarks.py."""
    argv = [sys.executable, str(DOCS / "benchmarks.py"), *map(str, arguments)]
    return subprocess.run(argv, capture_output=True, text=True)


def test_the_table_is_up_to_date() -> None:
    """Nobody has typed into the table."""
    done = benchmarks("--check")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("commit", "why"),
    [
        (None, "this is no file that --json has written"),
        ("a1b2c3d-dirty", "a1b2c3d-dirty, with changes that no commit has"),
    ],
    ids=["no machine", "no commit"],
)
def test_results_that_are_refused(commit: str | None, why: str, tmp_path: Path) -> None:
    """Results without a machine, or of no commit, change nothing."""
    before, path = DATA.read_bytes(), tmp_path / "results.json"
    document = json.loads(before)
    document["machine"] = {**document["machine"], "commit": commit} if commit else {}
    path.write_text(json.dumps(document))
    done = benchmarks(path)
    assert (done.returncode, str(path) in done.stderr) == (1, True), done.stdout
    assert why in done.stderr
    assert DATA.read_bytes() == before
