"""The account of a reconciliation: what was put right, and what could not be."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from twisted.internet.defer import CancelledError
from twisted.logger import Logger

from runc_cpi.errors import CPIError


class Repairs:
    """
    What one reconciliation came to; each line is logged as it comes.

    @ivar done: what was put right.
    @ivar problems: what could not be.
    """

    log = Logger()

    def __init__(self) -> None:
        self.done: list[str] = []
        self.problems: list[str] = []

    def did(self, text: str) -> None:
        """Note what was put right."""
        self.log.info("repair: {text}", text=text)
        self.done.append(text)

    def failed(self, text: str) -> None:
        """Note what could not be put right, and is left as it is."""
        self.log.error("repair: {text}", text=text)
        self.problems.append(text)

    @contextmanager
    def attempt(self, what: str) -> Iterator[None]:
        """
        Note an error with one thing, whatever it is, so that the rest goes on.

        The cancellation of a task is none.

        @param what: names the thing, by its CID as a rule, and may say what failed.
        """
        try:
            yield
        except (CPIError, OSError, ValueError, RecursionError) as error:
            self.failed(f"{what}: {error}")
        except CancelledError:
            raise
        except Exception as error:
            self.log.failure("bug: {what}", what=what)
            self.failed(f"{what}: {type(error).__name__}: {error}")

    def summarize(self) -> None:
        """Log how many things were put right, and how many problems are left."""
        self.log.info(
            "repair: {done} things put right, {problems} problems left",
            done=len(self.done),
            problems=len(self.problems),
        )
