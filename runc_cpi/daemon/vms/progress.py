"""How far a VM's reboot has come: if the daemon dies, the next one goes on from there."""

from __future__ import annotations

from enum import Enum

from runc_cpi.daemon.storage.bundle import Bundle
from runc_cpi.daemon.storage.records import sync_directory


class Progress(Enum):
    """
    How far the reboot of a VM has come.

    @cvar HALTING: the VM is asked to halt, and may run or not.
    @cvar BOOTING: the VM was taken down.  What runs of it since need not be asked to halt.
    """

    HALTING = "halting"
    BOOTING = "booting"


def read(bundle: Bundle) -> Progress | None:
    """Return how far a reboot had come that was not finished, or L{None}."""
    try:
        return Progress(bundle.reboot_note.read_text("ascii"))
    except FileNotFoundError:
        return None
    except ValueError:
        return Progress.HALTING  # the daemon died while it wrote the note


def write(bundle: Bundle, progress: Progress) -> None:
    """
    Note how far a reboot has come.

    The note is not synced: after a reboot of the host every VM is booted anyway.

    @raise OSError: if the note cannot be written.
    """
    bundle.reboot_note.write_text(progress.value, "ascii")


def clear(bundle: Bundle) -> None:
    """
    Note that a reboot is finished.

    @raise OSError: if the note cannot be removed.
    """
    bundle.reboot_note.unlink(missing_ok=True)


def give_up(bundle: Bundle) -> None:
    """
    Note, for good, that a reboot is not to be finished.

    @raise OSError: if the note cannot be removed.
    """
    if read(bundle) is not None:
        clear(bundle)
        sync_directory(bundle.reboot_note.parent)
