"""The account of a reconciliation: what was put right, and what could not be."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from twisted.internet.defer import CancelledError
from twisted.logger import Logger

from runc_cpi.errors import CPIError

# What the events are called that come of the lines.
REPAIRED = "repaired"
PRUNED = "pruned"
SET_ASIDE = "set_aside"
BOOTED_AGAIN = "vm_booted_again"


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

    def did(self, text: str, *, happened: str = REPAIRED) -> None:
        """
        Note what was put right.

        @param happened: what the event is called that comes of it.
        """
        self.log.info("repair: {text}", text=text, happened=happened)
        self.done.append(text)

    def failed(self, text: str, *, happened: str = REPAIRED) -> None:
        """
        Note what could not be put right, and is left as it is.

        @param happened: as for L{did}.
        """
        self.log.error("repair: {text}", text=text, happened=happened)
        self.problems.append(text)

    @contextmanager
    def attempt(self, what: str, *, happened: str = REPAIRED) -> Iterator[None]:
        """
        Note an error with one thing, whatever it is, so that the rest goes on.

        The cancellation of a task is none.

        @param what: names the thing, by its CID as a rule, and may say what failed.
        @param happened: what the event of an error is called.
        """
        try:
            yield
        except (CPIError, OSError, ValueError, RecursionError) as error:
            self.failed(f"{what}: {error}", happened=happened)
        except CancelledError:
            raise
        except Exception as error:
            self.log.failure("bug: {what}", what=what)
            self.failed(f"{what}: {type(error).__name__}: {error}", happened=happened)

    def summarize(self) -> None:
        """Log how many things were put right, and how many problems are left."""
        self.log.info(
            "repair: {done} things put right, {problems} problems left",
            done=len(self.done),
            problems=len(self.problems),
        )
