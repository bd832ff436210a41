"""C{python -m tests.benchmarks.networks [ROUNDS]}: the network's part of create_vm."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.benchmarks.measuring import Row, in_turns, layout

ROOT = Path(__file__).parents[2]
ROUNDS = 40
CROWDS = (1, 100, 500)
# By whether VMs publish ports.
AIMS = {"none": "10 ms", "ports": "15 ms"}
RAW = "a veth pair by pyroute2"


@contextmanager
def occupied(vms: int, ports: str) -> Iterator[Callable[[str], float]]:
    """Start a host with so many VMs; return what measures there."""
    argv = [sys.executable, "-m", "tests.benchmarks.occupied", str(vms), ports]
    with subprocess.Popen(
        argv, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        questions, answers = process.stdin, process.stdout
        assert questions is not None
        assert answers is not None
        assert answers.readline() == "ready\n"

        def measure(what: str) -> float:
            print(what, file=questions, flush=True)
            return float(answers.readline())

        yield measure
        questions.close()


def networks(rounds: int, crowds: Sequence[int] = CROWDS) -> list[Row]:
    """Measure one more VM on hosts with few and with many of them, in turns."""
    kinds = [(ports, vms) for ports in AIMS for vms in crowds]
    with ExitStack() as stack:
        hosts = [stack.enter_context(occupied(vms, ports)) for ports, vms in kinds]
        raw, *times = in_turns(
            rounds,
            lambda: hosts[0]("raw"),
            *(lambda host=host: host("vm") for host in hosts),
        )
    rows = [Row(RAW, raw)]
    first: dict[str, float] = {}
    for (ports, vms), took in zip(kinds, times, strict=True):
        what = f"beside {vms} VMs" + (", a port each" if ports == "ports" else "")
        one = first.setdefault(ports, took)
        rows.append(Row(what, took, RAW, took / raw, AIMS[ports]))
        if vms != crowds[0]:
            rows.append(Row("the same", took, f"beside {crowds[0]}", took / one, "1.2"))
    return rows


def main() -> None:
    """Measure and print."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    print(layout(networks(rounds)))


if __name__ == "__main__":
    main()
