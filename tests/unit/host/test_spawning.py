"""Child processes get the descriptors that they are given, and nobody looks at the rest."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from typing import Any

from twisted.internet import process, reactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import ProcessProtocol
from twisted.trial.unittest import TestCase

from runc_cpi.daemon.host import spawning

LIST = "cd /proc/self/fd && echo *"
HIGH = 70


class Listener(ProcessProtocol):
    """Keeps what a child writes."""

    def __init__(self) -> None:
        self.said = b""
        self.ended: Deferred[bytes] = Deferred()

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        """Keep it."""
        self.said += data

    def processEnded(self, reason: object) -> None:
        """Fire."""
        self.ended.callback(self.said)


class SpawningTests(TestCase):
    """Real children of the real reactor."""

    timeout = 20

    def setUp(self) -> None:
        self.null = self.opened(os.devnull, os.O_RDWR)

    def opened(self, path: str, flags: int) -> int:
        """Open a file until the end of the test."""
        fd = os.open(path, flags | os.O_CLOEXEC)
        self.addCleanup(os.close, fd)
        return fd

    def containing(self, text: str) -> int:
        """Return a descriptor that a text is read from."""
        reader, writer = os.pipe()
        self.addCleanup(os.close, reader)
        os.write(writer, text.encode())
        os.close(writer)
        return reader

    async def said_by(
        self, script: str, others: Mapping[int, int], env: Mapping[str, str] | None = None
    ) -> str:
        """Return what a shell script writes that has these descriptors besides."""
        child = Listener()
        fds: dict[int, Any] = {0: self.null, 1: "r", 2: "r", **others}
        environment = {"PATH": os.environ["PATH"], **(env or {})}
        spawning.start(reactor, child, ["sh", "-c", script], environment, fds)
        return (await child.ended).decode().strip()

    async def test_no_others(self) -> None:
        """What libraries opened, or whoever started this process, no child gets."""
        left_open = self.opened(os.devnull, os.O_RDONLY)
        os.set_inheritable(left_open, True)
        spawning.close_at_exec()
        self.assertFalse(os.get_inheritable(left_open))
        # The last is that of the directory which the shell reads.
        self.assertEqual(await self.said_by(LIST, {}), "0 1 2 3")
        self.assertEqual(await self.said_by(LIST, {HIGH: self.null}), f"0 1 2 3 {HIGH}")

    async def test_nobody_looks(self) -> None:
        """Twisted does not list all descriptors; else it would take longer with each VM."""

        def refuse() -> list[int]:
            raise AssertionError("the descriptors were listed")

        self.patch(process, "_listOpenFDs", refuse)
        self.assertEqual(await self.said_by("echo there", {}), "there")

    async def test_numbers_that_are_taken(self) -> None:
        """Descriptors change places, and one of the same number stays open."""
        one, other = self.containing("one"), self.containing("other")
        script = f"cat /dev/fd/{one}; echo; cat /dev/fd/{other}"
        swapped = await self.said_by(script, {one: other, other: one})
        self.assertEqual(swapped.split(), ["other", "one"])
        same = self.containing("same")
        self.assertEqual(await self.said_by(f"cat /dev/fd/{same}", {same: same}), "same")

    async def test_signals(self) -> None:
        """A child ignores none of the signals that Python ignores."""
        told = await self.said_by("grep SigIgn /proc/self/status", {})
        mask = int(told.split()[1], 16)  # the C library has two of its own in it
        ignored = [s for s in signal.valid_signals() if mask & 1 << (s - 1)]
        self.assertEqual(ignored, [])
        self.assertEqual(signal.getsignal(signal.SIGPIPE), signal.SIG_IGN)

    async def test_the_environment(self) -> None:
        """A child has what it is given, and not what this process has."""
        os.environ["OURS"] = "1"
        self.addCleanup(os.environ.pop, "OURS")
        said = await self.said_by("echo $OURS-$YOURS", {}, {"YOURS": "2"})
        self.assertEqual(said, "-2")

    def test_a_program_that_is_not_there(self) -> None:
        """The error is the kernel's, and no descriptor is left."""
        before = os.listdir("/proc/self/fd")
        with self.assertRaises(FileNotFoundError):
            spawning.start(reactor, Listener(), ["/no/program"], {}, {0: "w", 1: "r"})
        self.assertEqual(os.listdir("/proc/self/fd"), before)
