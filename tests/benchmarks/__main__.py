"""C{python -m tests.benchmarks [ROUNDS]}: print how long everything takes."""

from __future__ import annotations

import sys

from tests.benchmarks.measuring import layout
from tests.benchmarks.subjects import everything
from tests.harness import images, netns
from tests.harness.lab import Lab

ROUNDS = 15


def main() -> None:
    """Measure and print."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    made = {kind: images.bootable(kind) for kind in images.KINDS}
    netns.enter()
    lab = Lab()
    try:
        with lab.daemons() as new_daemon:
            rows = everything(new_daemon, made, rounds, lab.home, large=True)
    finally:
        lab.close()
    print(layout(rows))


if __name__ == "__main__":
    main()
