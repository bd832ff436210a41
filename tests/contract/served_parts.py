"""
A program that serves the real protocol over a daemon's real parts, on a fake host.

There is one stemcell. Whatever asks the host for anything more is answered as a bug: calls
that are refused for their arguments must not get so far.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from twisted.internet import reactor, stdio
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol
from twisted.internet.task import react
from twisted.python.failure import Failure

from runc_cpi.daemon.config import LimitsConfig
from runc_cpi.daemon.entrance.peer_log import PeerLog
from runc_cpi.daemon.rpc.factory import CPIFactory
from runc_cpi.daemon.storage.depot import Depot
from tests.fakes.assembly import assemble
from tests.fakes.script import Script


class Unreachable(Script):
    """A host that fails in all that it is asked for."""

    def act(self, name: str, result: Any = None) -> Deferred[Any]:
        """Fail with an error that the protocol takes for a bug."""
        raise AssertionError(f"the host was asked to {name}")


class UntilEnd(Protocol):
    """Waits for the end of stdin."""

    def __init__(self) -> None:
        self.ended: Deferred[None] = Deferred()

    def connectionLost(self, reason: Failure | None = None) -> None:
        """Whoever started this is done with it."""
        self.ended.callback(None)


async def serve(directory: str) -> None:
    """Make a stemcell, print its cid, and serve until stdin ends."""
    script = Script()
    depot = Depot(Path(directory) / "work")
    depot.prepare()
    parts = assemble(script, depot, script)
    with open(os.devnull, "rb") as image:
        stemcell = await parts.stemcells.create(image.fileno(), {})
    script.__class__ = Unreachable
    factory = CPIFactory(
        parts.subjects,
        LimitsConfig(),
        PeerLog(reactor.seconds),
        reactor,
    )
    reactor.listenUNIX(f"{directory}/socket", factory, wantPID=False)  # type: ignore[attr-defined]
    waiting = UntilEnd()
    standard_io: Any = stdio.StandardIO  # its type is that of Windows
    standard_io(waiting, stdout=os.open(os.devnull, os.O_WRONLY))
    print(stemcell.cid, flush=True)
    await waiting.ended


if __name__ == "__main__":
    react(lambda _, directory: Deferred.fromCoroutine(serve(directory)), sys.argv[1:])
