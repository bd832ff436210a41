"""The steps of a command: each has a name, is shown with its time, and may fail."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import click

from runc_cpi.ctl.director.running import CommandFailed, Runner
from runc_cpi.errors import CPIError
from runc_cpi.printable import printable

KEPT = "\n\t"


class StepFailed(click.ClickException):
    """A step failed; its message says what to do."""


@dataclass(frozen=True)
class Step:
    """
    One step, which can be repeated: it does only what is not done yet.

    @ivar name: a word.
    @ivar title: what it does.
    @ivar run: does it, and returns in a few words what came of it.
    @ivar advice: what to do when it fails.
    """

    name: str
    title: str
    run: Callable[[], str]
    advice: str


def perform(steps: Sequence[Step], runner: Runner, command: str) -> None:
    """
    Take the steps, and show how far they are and how long each takes.

    @param runner: runs their programs, of which the last line is shown on a terminal.
    @param command: what to type to go on after a failure.
    @raise StepFailed: at the first that fails; the rest is left out.
    """
    begun = time.monotonic()
    for number, step in enumerate(steps, 1):
        label = f"[{number}/{len(steps)}] {step.name}"
        _take(step, label, runner, command)
    click.echo(f"done in {time.monotonic() - begun:.1f} s", err=True)


def _take(step: Step, label: str, runner: Runner, command: str) -> None:
    begun = time.monotonic()
    try:
        with _shown(f"{label}: {step.title}", runner):
            came_of_it = step.run()
    except CommandFailed as error:
        _tell(label, f"FAILED after {time.monotonic() - begun:.1f} s")
        for line in error.lines:
            click.echo(f"    {printable(line)}", err=True)
        raise _failure(step, str(error), command) from None
    except (click.ClickException, CPIError, OSError) as error:
        _tell(label, f"FAILED after {time.monotonic() - begun:.1f} s")
        text = error.message if isinstance(error, click.ClickException) else str(error)
        raise _failure(step, text, command) from None
    except KeyboardInterrupt:
        _tell(label, f"interrupted after {time.monotonic() - begun:.1f} s")
        raise StepFailed(f"interrupted; {command} goes on from here") from None
    _tell(label, f"{came_of_it} ({time.monotonic() - begun:.1f} s)")


def _shown(text: str, runner: Runner) -> AbstractContextManager[object]:
    """Show what is being done: on a terminal with its time and the last line of it."""
    if not sys.stderr.isatty():
        click.echo(f"{text} ... ", nl=False, err=True)
        return nullcontext()
    from runc_cpi.ctl.director.progress import shown

    return shown(text, runner)


def _tell(label: str, what: str) -> None:
    beginning = f"{label}: " if sys.stderr.isatty() else ""
    click.echo(f"{beginning}{printable(what)}", err=True)


def _failure(step: Step, why: str, command: str) -> StepFailed:
    text = printable(why, KEPT)
    return StepFailed(
        f"{step.name}: {text}\n\tWhat to do: {step.advice}\n\t{command} goes on from here."
    )
