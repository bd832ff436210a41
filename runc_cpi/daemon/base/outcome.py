"""How a child process ended, and what it wrote."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """
    How a child process ended, and what it wrote.

    @ivar argv: what was run.
    @ivar status: its exit status, or L{None} if a signal ended it.
    @ivar signal: the number of the signal that ended it, or L{None}.
    @ivar timed_out: whether it was killed because it took too long.
    @ivar stdout: the beginning of what it wrote to stdout.
    @ivar stderr: the end of what it wrote to stderr.
    """

    argv: tuple[str, ...]
    status: int | None
    signal: int | None
    timed_out: bool
    stdout: bytes
    stderr: bytes

    @property
    def ok(self) -> bool:
        """Whether the child exited with status 0."""
        return self.status == 0

    @property
    def ending(self) -> str:
        """How the child ended, in words for an operator."""
        if self.timed_out:
            return "took too long and was killed"
        if self.signal is not None:
            try:
                name = signal.Signals(self.signal).name
            except ValueError:
                name = f"signal {self.signal}"
            return f"was ended by {name}"
        return f"exit status {self.status}"

    def complaint(self) -> str:
        """Return the program's name, how it ended and the last lines of its stderr."""
        program = os.path.basename(self.argv[0])
        lines = self.stderr.decode("utf-8", "replace").strip().splitlines()
        return ": ".join([program, self.ending, *lines[-3:]])
