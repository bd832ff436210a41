"""What is tried on a distribution, and what came out."""

from __future__ import annotations

import subprocess
import tempfile
import time
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import IO

from tests.distributions import machine
from tests.distributions.cell import Cell
from tests.distributions.trees import COPY

WORKS, FAILS = "works", "**fails**"
# Packages and libraries come over the machine's network; what follows has one of its own.
# The updates come first, as on a machine that is looked after.
PREPARATION = """
apt-get --quiet --quiet update
DEBIAN_FRONTEND=noninteractive apt-get --quiet --quiet --yes upgrade
operations/setup dev
for kind in runit systemd; do
  operations/make-stemcell $kind .cache/stemcells/$kind
done
"""
LIFE = """
export PATH=$PWD/.venv/bin:$PATH
python -m pytest -p no:cacheprovider tests/functional/test_vm_life.py \\
  tests/functional/disks/test_journey.py
"""
PARTS = {
    "quickstart, runit": "operations/quickstart --kind runit",
    "quickstart, systemd": "operations/quickstart --kind systemd",
    "life of VMs and disks": LIFE,
}
VERSIONS = """
. /etc/os-release
echo "$PRETTY_NAME"
.venv/bin/python -c 'import sys; print(sys.version.split()[0])'
runc --version | sed -n 's/^runc version //p'
uname -r | cut -d- -f1
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then echo v2
elif [ -e /sys/fs/cgroup/unified ]; then echo hybrid
else echo v1; fi
"""
SECONDS = 1800.0


@dataclass(frozen=True)
class Outcome:
    """
    What came out on a distribution.

    @ivar distribution: its full name.
    @ivar kernel: the version of the machine's kernel.
    @ivar cgroups: the layout of the machine's cgroups.
    @ivar results: what came of each part, by its name.
    @ivar day: when that was.
    """

    distribution: str
    python: str
    runc: str
    kernel: str
    cgroups: str
    results: dict[str, str]
    day: date

    @property
    def is_good(self) -> bool:
        """Whether all parts work."""
        return set(self.results.values()) == {WORKS}


class NotPrepared(Exception):
    """What the parts need could not be installed; the message says where that is told."""


class Trial:
    """Runs all parts in the tree of one distribution."""

    def __init__(self, cell: Cell, log: Path) -> None:
        self._cell, self._log = cell, log

    def run(self, name: str) -> Outcome:
        """
        Try everything.

        @raise NotPrepared: if nothing could be tried.
        """
        if not self._run(f"{name}: setup, stemcells", PREPARATION, online=True):
            raise NotPrepared(f"the distribution could not be set up; see {self._log}")
        results = {
            part: WORKS if self._run(f"{name}: {part}", script) else FAILS
            for part, script in PARTS.items()
        }
        with tempfile.TemporaryFile() as output:
            self._in_cell(VERSIONS, output, online=False)
            output.seek(0)
            distribution, python, runc, kernel, cgroups = (
                output.read().decode().split("\n")[:-1]
            )
        return Outcome(
            distribution=distribution,
            python=python,
            runc=runc,
            kernel=kernel,
            cgroups=cgroups,
            results=results,
            day=date.today(),
        )

    def _run(self, what: str, script: str, *, online: bool = False) -> bool:
        """Run a part, say how it went, and return whether it went well."""
        print(f"{what}: ", end="", flush=True)
        begun = time.monotonic()
        with self._log.open("ab") as output:
            output.write(f"\n=== {what}\n".encode())
            output.flush()
            try:
                is_good = self._in_cell(script, output, online=online) == 0
            except subprocess.TimeoutExpired:
                is_good = False
        print(
            f"{WORKS if is_good else FAILS}, {time.monotonic() - begun:.0f} s", flush=True
        )
        return is_good

    def _in_cell(self, script: str, output: IO[bytes], *, online: bool) -> int:
        return self._cell.run(
            ["/bin/bash", "-euc", script],
            directory=COPY,
            environment={"HOME": "/root", "LANG": "C.UTF-8", **machine.environment()},
            output=output,
            seconds=SECONDS,
            online=online,
        )
