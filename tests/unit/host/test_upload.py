"""Uploads that wait for their turn to be unpacked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, DeferredSemaphore
from twisted.trial.unittest import SynchronousTestCase

from runc_cpi.daemon.host.images.reading import HEADER_SIZE
from runc_cpi.daemon.host.images.upload import Upload
from runc_cpi.errors import CloudError


class UploadTests(SynchronousTestCase):
    """An upload whose turn has not come."""

    def test_given_up_before_its_turn(self) -> None:
        """No process is started for it any more, and the next one has its turn."""
        no_processes: Any = None
        slots = DeferredSemaphore(1)
        self.successResultOf(slots.acquire())
        upload = Upload(no_processes, slots, Path("nowhere"))
        written = Deferred.fromCoroutine(upload.write(bytes(HEADER_SIZE)))
        self.successResultOf(Deferred.fromCoroutine(upload.abort()))
        self.assertNoResult(written)
        slots.release()
        error = self.failureResultOf(written, CloudError).value
        self.assertIn("given up", str(error))
        self.assertEqual(slots.tokens, 1)
