"""The steps of calls: whatever asks something of the host is a part of one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import TestCase

from runc_cpi.daemon.base.calls import Call, current
from runc_cpi.daemon.base.spans import Spans
from runc_cpi.daemon.storage.depot import Depot
from tests.fakes.assembly import assemble, new_vm
from tests.fakes.script import Script


class SlowScript(Script):
    """
    Everything that is asked of the host takes a second, and nothing else takes any time.

    @ivar clock: the time that has passed.
    """

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()

    def act(self, name: str, result: Any = None) -> Deferred[Any]:
        """Take a second."""
        self.clock.advance(1)
        return super().act(name, result)


class StepsTests(TestCase):
    """Calls whose time is all the host's."""

    timeout = 20

    def setUp(self) -> None:
        self.script = SlowScript()
        depot = Depot(Path(self.mktemp()).absolute())
        depot.prepare()
        self.addCleanup(depot.release)
        self.parts = assemble(self.script, depot, self.script)

    async def covered(self, work: Any) -> tuple[Any, float, float]:
        """Return what a call returned, how many seconds it took, and its steps together."""
        spans = Spans(self.script.clock.seconds)
        call = Call(method="m", request_id="", began=0.0, cids=[], spans=spans)
        token = current.set(call)
        try:
            result = await work
        finally:
            current.reset(token)
        took, end = 0.0, 0.0
        for span in spans.to_json():
            last = span["start"] + span["ms"]
            took += max(0.0, last - max(end, span["start"]))
            end = max(end, last)
        return result, spans.elapsed() / 1000, took / 1000

    async def test_calls_are_made_of_steps(self) -> None:
        """All that the host does for a call is done in a step of it."""
        await self.parts.load()
        with open(os.devnull, "rb") as image:
            work = self.parts.stemcells.create(image.fileno(), {})
            stemcell, *seconds = await self.covered(work)
        self.assertEqual(seconds, [2.0, 2.0])
        _, *seconds = await self.covered(self.parts.vms.create(new_vm(stemcell.cid)))
        self.assertGreater(seconds[0], 3)
        self.assertEqual(seconds[0], seconds[1])
