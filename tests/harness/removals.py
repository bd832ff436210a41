"""Removals that a test can hold up, to see what is so meanwhile."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

from tests.harness.daemon import Daemon

NICE = 16  # of the fields behind a process's name, counted from 0 (proc_pid_stat(5))


class HeldRemovals:
    """
    A directory with an C{rm} that waits before it does anything.

    @ivar path: a PATH in which it is found first.
    """

    def __init__(self, directory: Path) -> None:
        directory.mkdir()
        self._hold, real = directory / "hold", shutil.which("rm")
        self._hold.touch()
        program = directory / "rm"
        loop = f"while test -e '{self._hold}'; do sleep 0.05; done"
        program.write_text(f'#!/bin/sh\n{loop}\nexec {real} "$@"\n')
        program.chmod(0o755)
        self.path = f"{directory}:{os.environ['PATH']}"

    def go_on(self) -> None:
        """Let all go on."""
        self._hold.unlink()


def removing(daemon: Daemon) -> int:
    """Return how much is left to be removed, as the operator is told."""
    status: dict[str, int] = json.loads(daemon.control("-o", "json", "status"))["status"]
    return status["removing"]


def nice_values(daemon: Daemon) -> list[int]:
    """Return those of the daemon's children that remove something."""
    return [int(fields[NICE]) for fields in _removers(daemon).values()]


def disk_classes(daemon: Daemon) -> list[str]:
    """Return the class that each of these children has for the disk (ionice(1))."""
    pids = map(str, _removers(daemon))
    asked = [subprocess.check_output(["ionice", "-p", pid], text=True) for pid in pids]
    return [answer.strip() for answer in asked]


def _removers(daemon: Daemon) -> dict[int, list[str]]:
    """Return the daemon's children that remove something, with what is told of each."""
    assert daemon.process is not None
    parent = Path(f"/proc/{daemon.process.pid}/task/{daemon.process.pid}/children")
    stats = [Path(f"/proc/{pid}/stat").read_text() for pid in parent.read_text().split()]
    told = [stat.partition(" ")[::2] for stat in stats if "(rm)" in stat]
    return {int(pid): rest.rpartition(")")[2].split() for pid, rest in told}
