"""
C{python -m tests.benchmarks.networks [ROUNDS]}: the network's part of create_vm.

Ratios are those of processor time: what else the machine does changes them little.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from statistics import median

from tests.benchmarks.measuring import Row, layout

ROOT = Path(__file__).parents[2]
ROUNDS = 40
CROWDS = (1, 100, 500)
# By whether VMs publish ports.
AIMS = {"none": "10 ms", "ports": "15 ms"}
# Milliseconds by the clock, and of processor time.
Taken = tuple[float, float]
RAW = "a veth pair by pyroute2"


@contextmanager
def occupied(vms: int, ports: str) -> Iterator[Callable[[str], Taken]]:
    """Start a host with so many VMs; return what measures there."""
    argv = [sys.executable, "-m", "tests.benchmarks.occupied", str(vms), ports]
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
    """Measure one more VM on hosts with few and with many of them, in turns."""
    kinds = [(ports, vms) for ports in AIMS for vms in crowds]
    with ExitStack() as stack:
        hosts = [stack.enter_context(occupied(vms, ports)) for ports, vms in kinds]
        works = [partial(hosts[0], "raw"), *(partial(host, "vm") for host in hosts)]
        results = [[work() for work in works] for _ in range(rounds)]
    raw, *times = (_medians(column) for column in zip(*results, strict=True))
    rows = [Row(RAW, raw[0]), Row("the same, processor time", raw[1])]
    first: dict[str, float] = {}
    for (ports, vms), (clock, processor) in zip(kinds, times, strict=True):
        what = f"beside {vms} VMs" + (", a port each" if ports == "ports" else "")
        rows.append(Row(what, clock, aim=AIMS[ports]))
        rows.append(Row("the same, processor time", processor, RAW, processor / raw[1]))
        one = first.setdefault(ports, processor)
        if vms != crowds[0]:
            against = f"beside {crowds[0]}"
            rows.append(Row("the same", processor, against, processor / one, "1.2"))
    return rows


def _medians(taken: Sequence[Taken]) -> Taken:
    clock, processor = map(median, zip(*taken, strict=True))
    return clock, processor


def main() -> None:
    """Measure and print."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    print(layout(networks(rounds)))


if __name__ == "__main__":
    main()
