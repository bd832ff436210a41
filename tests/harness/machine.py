"""A machine to install things on: this one, with changes that only some processes see."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# What is written here is kept in memory, and is gone with the namespace.
_CHANGED = ("/opt", "/etc", "/usr/local", "/var/lib")
_ENTER = """
set -e
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/system /run/changes
mount -t tmpfs tmpfs /run/changes
for place in {places}; do
  mkdir -p /run/changes$place/upper /run/changes$place/work
  mount -t overlay overlay -o \
    lowerdir=$place,upperdir=/run/changes$place/upper,workdir=/run/changes$place/work $place
done
echo ready
exec cat
"""
# What systemd was asked to do.
_SYSTEMCTL = """#!/bin/sh
echo "$*" >>/run/systemd/asked
"""


class Machine:
    """
    A mount namespace in which programs can be installed.

    @ivar root: its root directory, as this process sees it.
    """

    def __init__(self, pid: int, tools: Path) -> None:
        self.root = Path(f"/proc/{pid}/root")
        self._enter = ("nsenter", f"--mount=/proc/{pid}/ns/mnt")
        self._tools = tools
        self._systemctl = tools / "systemctl"
        self._systemctl.write_text(_SYSTEMCTL)
        self._systemctl.chmod(0o755)

    def path(self, name: str) -> Path:
        """Return where an absolute path of the machine is; links in it are not followed."""
        return self.root / name.lstrip("/")

    def run(
        self, *argv: str | Path, stdin: int = subprocess.DEVNULL
    ) -> subprocess.CompletedProcess[str]:
        """Run a program there, without a terminal unless C{stdin} is one."""
        search_path = f"{self._tools}:{os.environ['PATH']}"
        return subprocess.run(
            [*self._enter, *argv],
            env={**os.environ, "PATH": search_path},
            stdin=stdin,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def asked_of_systemd(self) -> list[str]:
        """Return what systemd was asked to do since the last time."""
        log = self.path("/run/systemd/asked")
        lines = log.read_text().splitlines() if log.exists() else []
        log.unlink(missing_ok=True)
        return lines


@contextmanager
def machine(tools: Path) -> Iterator[Machine]:
    """
    Make a machine, and remove it with all that was installed.

    @param tools: an empty directory for stand-ins of programs.
    """
    script = _ENTER.format(places=" ".join(_CHANGED))
    argv = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdin is not None and holder.stdout is not None
        try:
            assert holder.stdout.readline() == b"ready\n"
            yield Machine(holder.pid, tools)
        finally:
            holder.stdin.close()
