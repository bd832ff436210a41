"""
A daemon whose start takes as long as a test says.

Run in place of C{twistd}, with the same arguments: before it reads the records it makes the
file L{BEGUN} in the current directory, and waits until L{HELD} is gone.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

BEGUN, HELD = "start-begun", "start-held"
LAUNCHER = (sys.executable, str(Path(__file__).resolve()))
INTERVAL = 0.02


def hold() -> None:
    """Have the start wait where a host with many VMs takes long."""
    from twisted.internet.task import deferLater

    from runc_cpi.daemon.reconcile.reconciler import Reconciler

    load = Reconciler.load

    async def held(self: Reconciler) -> Any:
        from twisted.internet import reactor

        Path(BEGUN).touch()
        while Path(HELD).exists():
            await deferLater(reactor, INTERVAL)
        return await load(self)

    Reconciler.load = held  # type: ignore[method-assign]


if __name__ == "__main__":
    from twisted.scripts.twistd import run

    hold()
    sys.exit(run())
