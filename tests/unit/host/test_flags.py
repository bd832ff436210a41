"""The program that clears the flags of files finds its own modules."""

from __future__ import annotations

import subprocess
from pathlib import Path

from runc_cpi.daemon.host.files import flags


def test_the_program_runs_from_any_directory(tmp_path: Path) -> None:
    """It needs neither the daemon's environment nor its working directory."""
    (tmp_path / "tree" / "below").mkdir(parents=True)
    argv = flags.program(tmp_path / "tree")
    environment = {"PATH": "/usr/bin:/bin"}
    subprocess.run(argv, cwd="/", env=environment, check=True, timeout=60)
