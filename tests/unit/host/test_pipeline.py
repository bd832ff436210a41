"""The processes that unpack an image which is written to them."""

from __future__ import annotations

import fcntl
import gzip
import os
from pathlib import Path

from twisted.internet import reactor
from twisted.trial.unittest import TestCase

from runc_cpi.daemon.host.images import pipeline
from runc_cpi.daemon.host.images.pipeline import Pipeline
from runc_cpi.daemon.host.processes import Processes


class PipelineTests(TestCase):
    """Real processes of the real reactor."""

    timeout = 20

    def setUp(self) -> None:
        mark = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        self.addCleanup(os.close, mark)
        self.processes = Processes(reactor, limit=2, mark=mark)
        self.image = gzip.compress(bytes(1024))  # an archive of nothing

    async def test_a_large_pipe(self) -> None:
        """The pipe holds more than pipes do, so that the daemon waits less often."""
        running = Pipeline(self.processes, self.image, "w", Path.cwd())
        size = fcntl.fcntl(running.stdin.pipes[0].fileno(), fcntl.F_GETPIPE_SZ)
        running.stdin.write(self.image)
        running.stdin.closeStdin()
        await running.finish()
        self.assertEqual(size, pipeline.PIPE_SIZE)

    def test_a_kernel_that_refuses(self) -> None:
        """The usual size has to do where a larger one is not allowed."""
        asked = []

        def refuse(*arguments: int) -> None:
            asked.append(arguments)
            raise PermissionError

        self.patch(fcntl, "fcntl", refuse)
        pipeline.enlarge(1)
        self.assertEqual(asked, [(1, fcntl.F_SETPIPE_SZ, pipeline.PIPE_SIZE)])
