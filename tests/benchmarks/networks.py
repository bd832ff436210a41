"""
C{python -m tests.benchmarks.networks [ROUNDS]}: the network's part of create_vm.

Ratios are those of processor time: what else the machine does changes them little.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median

from tests.benchmarks.measuring import Row, layout

ROOT = Path(__file__).parents[2]
ROUNDS = 40
CROWDS = (1, 100, 500)
# By what VMs have beside their addresses.
AIMS = {"none": "10 ms", "ports": "15 ms", "blocks": "15 ms"}
TOLD = {"none": "", "ports": ", a port each", "blocks": ", a block each"}
# Milliseconds by the clock, and of processor time.
Taken = tuple[float, float]
RAW = "a veth pair by pyroute2"


@contextmanager
def occupied(vms: int, more: str) -> Iterator[Callable[[str], Taken]]:
    """Start a host with so many VMs; return what measures there."""
    argv = [sys.executable, "-m", "tests.benchmarks.occupied", str(vms), more]
    with subprocess.Popen(
        argv, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        questions, answers = process.stdin, process.stdout
        assert questions is not None
        assert answers is not None
        assert answers.readline() == "ready\n"

        def measure(what: str) -> Taken:
            print(what, file=questions, flush=True)
            clock, processor = map(float, answers.readline().split())
            return clock, processor

        yield measure
        questions.close()


def networks(rounds: int, crowds: Sequence[int] = CROWDS) -> list[Row]:
    """
    Measure one more VM on hosts with few and with many of them, in turns.

    Beside it there is one more port of the bridge, which is what the kernel takes.
    """
    kinds = [(more, vms) for more in AIMS for vms in crowds]
    with ExitStack() as stack:
        hosts = [stack.enter_context(occupied(vms, more)) for more, vms in kinds]
        works = [
            partial(hosts[0], "raw"),
            *(partial(host, "port") for host in hosts[: len(crowds)]),
            *(partial(host, "vm") for host in hosts),
        ]
        results = [[work() for work in works] for _ in range(rounds)]
    raw, *times = zip(*results, strict=True)
    rows = _rows(RAW, raw)
    bare = rows[-1].milliseconds
    for vms, taken in zip(crowds, times, strict=False):
        rows += _rows(f"a port of the bridge beside {vms}", taken)
    first: dict[str, float] = {}
    for (more, vms), taken in zip(kinds, times[len(crowds) :], strict=True):
        what = f"beside {vms} VMs{TOLD[more]}"
        clock, processor = _rows(what, taken)
        taken_by_it = processor.milliseconds
        ratio = taken_by_it / bare
        rows += [
            replace(clock, aim=AIMS[more]),
            replace(processor, against=RAW, ratio=ratio),
        ]
        one = first.setdefault(more, taken_by_it)
        if vms != crowds[0]:
            against = f"beside {crowds[0]}"
            rows.append(Row("the same", taken_by_it, against, taken_by_it / one, "1.2"))
    return rows


def _rows(what: str, taken: Sequence[Taken]) -> list[Row]:
    """Return a row of the time by the clock, and one of processor time."""
    clock, processor = zip(*taken, strict=True)
    return [
        Row(name, median(times), extremes=(min(times), max(times)))
        for name, times in ((what, clock), ("the same, processor time", processor))
    ]


def main() -> None:
    """Measure and print."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    print(layout(networks(rounds)))


if __name__ == "__main__":
    main()
