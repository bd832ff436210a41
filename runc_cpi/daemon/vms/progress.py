"""How far a VM's reboot has come, for the next daemon to go on if this one dies."""

from __future__ import annotations

from enum import Enum
from pathlib import Path

NOTE = "rebooting"


class Progress(Enum):
    """
    What is being done to a VM that is to run.

    @cvar HALTING: it is asked to halt, and may run or not.
    @cvar BOOTING: it was taken down; what there is of it by now was never asked anything.
    """

    HALTING = "halting"
    BOOTING = "booting"


def read(bundle: Path) -> Progress | None:
    """Return how far a reboot had come that was not finished, if there is one."""
    try:
        return Progress((bundle / NOTE).read_text("ascii"))
    except FileNotFoundError:
        return None
    except ValueError:
        return Progress.HALTING  # the daemon died while it wrote this


def write(bundle: Path, progress: Progress) -> None:
    """
    Note how far a reboot has come.

    It need not outlive the host: after a reboot of that every VM is booted.
    """
    (bundle / NOTE).write_text(progress.value, "ascii")


def clear(bundle: Path) -> None:
    """Note that a reboot is finished."""
    (bundle / NOTE).unlink(missing_ok=True)
