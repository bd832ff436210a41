"""The program that clears the flags of files finds its own modules."""

from __future__ import annotations

import subprocess
from pathlib import Path

from runc_cpi.daemon.host.files import flags


def test_the_program_runs_from_any_directory(tmp_path: Path) -> None:
    """It needs neither the daemon's environment nor its directory, and trusts neither."""
    tree = tmp_path / "tree"
    (tree / "below").mkdir(parents=True)
    for name in ("runc_cpi", "pathlib"):
        (tree / f"{name}.py").write_text("raise SystemExit('imported')\n")
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(tree)}
    subprocess.run(flags.program(tree), cwd=tree, env=environment, check=True, timeout=60)
