"""Uploads: what is told of one as a whole, which many commands make."""

from __future__ import annotations

from pathlib import Path

from twisted.internet.task import Clock
from twisted.trial.unittest import TestCase

from runc_cpi.daemon.base.calls import current
from runc_cpi.daemon.base.spans import Spans
from runc_cpi.daemon.rpc.uploads import Uploads
from runc_cpi.daemon.storage.depot import Depot
from tests.fakes.assembly import assemble
from tests.fakes.script import Script


class UploadsTests(TestCase):
    """The uploads of a connection, whose commands are calls of their own."""

    timeout = 20

    async def test_its_steps(self) -> None:
        """The image is unpacked from its first bytes on; before that it is waited for."""
        depot = Depot(Path(self.mktemp()).absolute())
        depot.prepare()
        self.addCleanup(depot.release)
        parts, clock = assemble(Script(), depot), Clock()
        uploads = Uploads(parts.stemcells, 1, parts.history.calls)
        number = uploads.begin({}, 4096)
        (call,) = parts.history.calls.all()
        call.spans = spans = Spans(clock.seconds)
        clock.advance(1)
        for _ in range(3):
            current.set(None)
            await uploads.write(number, b"x")
            clock.advance(2)
        await uploads.finish(number)
        told = [tuple(span.values()) for span in spans.to_json()]
        self.assertEqual(told[0], ("unpack", 1000, 6000))
        self.assertEqual([start for _, start, _ in told[1:]], [7000] * (len(told) - 1))
