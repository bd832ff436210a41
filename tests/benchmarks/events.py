"""
C{python -m tests.benchmarks.events [EVENTS]}: how soon events are seen, and what they cost.

The memory is that of a daemon with so many events, and with a tenth of them.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.benchmarks.measuring import Row, in_turns, layout, timed
from tests.harness import netns
from tests.harness.daemon import CONTROL, Daemon
from tests.harness.lab import Lab

ROUNDS = 100
EVENTS = 100_000
PARTS = 10


@contextmanager
def follower(daemon: Daemon) -> Iterator[Iterator[dict[str, Any]]]:
    """Follow the events by the operator's tool, and return what it prints."""
    options = ["events", "--output=json", "--follow", "--lines=1"]
    argv: list[str | Path] = [CONTROL, "--config", daemon.config_file, *options]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield map(json.loads, process.stdout)
        finally:
            process.terminate()


def seen(daemon: Daemon, rounds: int) -> list[Row]:
    """Measure how long it takes from a call until a follower has printed it."""
    daemon.cpi.ok("has_vm", "vm-first")
    with daemon.connection() as client, follower(daemon) as events:
        next(events)

        def call() -> object:
            return client.call("HasVM", vm_cid="vm-1")

        def call_alone() -> float:
            took = timed(call)
            next(events)
            return took

        called, shown = in_turns(
            rounds, call_alone, lambda: timed(lambda: (call(), next(events)))
        )
    return [
        Row("has_vm, on an open connection", called),
        Row("the same, until events --follow has printed it", shown, aim="100 ms"),
    ]


def memory(daemon: Daemon) -> float:
    """Return how many MiB the daemon takes."""
    assert daemon.process is not None
    status = Path(f"/proc/{daemon.process.pid}/status").read_text("ascii")
    found = re.search(r"VmRSS:\s+([0-9]+) kB", status)
    assert found is not None
    return int(found[1]) / 1024


def filled(daemon: Daemon, number: int) -> Iterator[tuple[int, float]]:
    """Have so many events happen; return how many there are, and the memory, by parts."""
    with daemon.connection() as client:
        for part in range(1, PARTS + 1):
            for _ in range(number // PARTS):
                client.call("HasVM", vm_cid="vm-1")
            yield part * (number // PARTS), memory(daemon)


def main() -> None:
    """Measure and print."""
    number = int(sys.argv[1]) if len(sys.argv) > 1 else EVENTS
    netns.enter()
    lab = Lab()
    try:
        with lab.daemons() as new_daemon:
            daemon = new_daemon().start()
            print(layout(seen(daemon, ROUNDS)))
            begin = time.monotonic()
            for events, mebibytes in filled(daemon, number):
                print(f"{events:7} events: {mebibytes:5.1f} MiB", flush=True)
            print(f"{(time.monotonic() - begin) / number * 1000:.2f} ms a call")
            kept = sum(path.stat().st_size for path in daemon.work_dir.glob("events/*"))
            print(f"{kept / (1 << 20):.1f} MiB on disk")
            for options in ([], ["--outcome=failed"], ["--since=1h", "--output=json"]):
                took = timed(lambda: daemon.control("events", *options))  # noqa: B023
                print(f"{took:6.0f} ms: events {' '.join(options)}")
    finally:
        lab.close()


if __name__ == "__main__":
    main()
