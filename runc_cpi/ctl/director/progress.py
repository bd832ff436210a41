"""A step on a terminal, while it is taken."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Column
from rich.text import Text

from runc_cpi.ctl.director.running import Runner
from runc_cpi.printable import printable


class LastLine(ProgressColumn):
    """
    The last line that a program has printed.

    @param runner: runs the program.
    """

    def __init__(self, runner: Runner) -> None:
        super().__init__(Column(ratio=1, no_wrap=True))
        self._runner = runner

    def render(self, task: Task) -> Text:
        """Return it, cut to the width of the terminal."""
        line = printable(self._runner.last_line())
        return Text(line, style="dim", overflow="ellipsis", no_wrap=True)


@contextmanager
def shown(text: str, runner: Runner) -> Iterator[None]:
    """Show a step with its time and the last line of its program, and then no more."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    console = Console(stderr=True, highlight=False)
    progress = Progress(*columns, LastLine(runner), console=console, transient=True)
    with progress:
        progress.add_task(text, total=None)
        yield
