"""
C{python -m tests.benchmarks.flood [SECONDS]}: honest calls during a flood of connections.

Each call is the real executable's, over mutual TLS, from 127.0.0.1.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from tests.benchmarks.encryption import encrypted
from tests.benchmarks.measuring import timed
from tests.harness import netns
from tests.harness.daemon import Daemon
from tests.harness.lab import Lab

ROOT = Path(__file__).parents[2]
RATE = 2000
SECONDS = 60.0
# What strangers do, and from how many addresses; one address is the caller's own.
FLOODS = [("silent", 1), ("silent", 200), ("hello", 1), ("hello", 200)]


@dataclass(frozen=True)
class Outcome:
    """
    The result of honest calls.

    @ivar rate: connections that strangers made, a second. @ivar times: what each call took,
    in milliseconds. @ivar failures: the errors of calls that failed. @ivar lines: by how
    many lines the log grew.
    """

    rate: float
    times: list[float]
    failures: list[str]
    lines: int

    def __str__(self) -> str:
        calls = len(self.times)
        return (
            f"{self.rate:.0f} connections/s: {calls - len(self.failures)} of {calls} calls "
            f"succeeded, in {median(self.times):.0f} ms, at worst {max(self.times):.0f}; "
            f"{self.lines} lines of log"
        )


def flooded(daemon: Daemon, kind: str, addresses: int, seconds: float) -> Outcome:
    """Make one call after the other, while strangers flood the daemon."""
    arguments = [daemon.port, RATE, seconds, kind, addresses]
    argv = [sys.executable, "-m", "tests.benchmarks.strangers", *map(str, arguments)]
    before = daemon.log.count("\n")
    times: list[float] = []
    failures: list[str] = []

    def call() -> None:
        error = daemon.cpi.call("has_vm", "vm-none")["error"]
        failures.extend([error["message"]] if error else [])

    with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, text=True) as strangers:
        try:
            while strangers.poll() is None:
                times.append(timed(call))
        finally:
            strangers.kill()
        assert strangers.stdout is not None
        rate = float(strangers.stdout.read())
    return Outcome(rate, times, failures, daemon.log.count("\n") - before)


def floods(daemon: Daemon, seconds: float) -> Iterator[tuple[str, Outcome]]:
    """Flood in each way; return the results by the name of the way."""
    for kind, addresses in FLOODS:
        outcome = flooded(daemon, kind, addresses, seconds)
        yield f"{kind}, from {addresses} addresses", outcome


def main() -> None:
    """Measure and print."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else SECONDS
    netns.enter()
    lab = Lab()
    try:
        with lab.daemons() as new_daemon:
            for name, outcome in floods(encrypted(new_daemon), seconds):
                print(f"{name}: {outcome}", flush=True)
    finally:
        lab.close()


if __name__ == "__main__":
    main()
