"""C{python -m tests.benchmarks [ROUNDS]}: print how long everything takes."""

from __future__ import annotations

import sys

from tests.harness import netns
from tests.harness.lab import Lab
from tests.harness.stemcells import image_of

from tests.benchmarks.measuring import layout
from tests.benchmarks.subjects import everything

ROUNDS = 15


def main() -> None:
    """Measure and print."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    netns.enter()
    images = {kind: image_of(kind) for kind in ("runit", "systemd")}
    lab = Lab()
    try:
        with lab.daemons() as new_daemon:
            rows = everything(new_daemon, images, rounds, lab.home, large=True)
    finally:
        lab.close()
    print(layout(rows))


if __name__ == "__main__":
    main()
