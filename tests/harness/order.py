"""The order of the tests: what takes longest begins first, in processes of its own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, TypeVar

TESTS = Path(__file__).parents[1]
# The files whose tests take longest, from the longest on.
LONGEST = [
    "reliability/test_sequences.py",
    "reliability/test_crash_points.py",
    "functional/security/test_hostile_input.py",
    "functional/test_many.py",
    "release/test_sequences.py",
    "functional/security/test_hostile_trees.py",
    "reliability/test_in_flight.py",
    "benchmarks/test_benchmarks.py",
]


class Item(Protocol):
    """A test, as pytest has it."""

    path: Path


T = TypeVar("T", bound=Item)


def in_order(tests: Sequence[T], workers: int) -> list[T]:
    """
    Let each process that runs tests begin with one of the longest files.

    Each gets a share of the tests that lie together, and the shares are alike in number.
    It takes over some of another's last ones when it is through (pytest-xdist, worksteal).

    @param workers: the number of processes.
    """
    longest = [[test for test in tests if test.path == TESTS / name] for name in LONGEST]
    rest = [test for test in tests if not any(test in file for file in longest)]
    ordered: list[T] = []
    for worker in range(workers):
        first = [test for file in longest[worker::workers] for test in file]
        end = len(ordered) + (len(tests) - len(ordered)) // (workers - worker)
        more = max(0, end - len(ordered) - len(first))
        ordered += [*first, *rest[:more]]
        rest = rest[more:]
    return ordered + rest
