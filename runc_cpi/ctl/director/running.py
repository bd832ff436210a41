"""Programs that the steps run: what they print is kept, and told when they fail."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from runc_cpi.ctl.director.directory import StateDirectory

# How much of what a program printed is shown when it fails.
LINES = 100
# And how much of it is looked at for the last line, in bytes.
TAIL = 1 << 12
# Progress, of which only the last state means something.
_PROGRESS = re.compile(r"\[[#=> .-]{4,}\]|\d%\s*$|\d%.*/s")
# What is handed on to programs; all else could change what they do.
_PASSED = (
    *("PATH", "LANG", "LC_ALL", "TMPDIR", "TERM", "SSL_CERT_FILE", "SSL_CERT_DIR"),
    *("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"),
)


class CommandFailed(click.ClickException):
    """
    A program failed.

    @ivar lines: the last that it printed.
    """

    def __init__(self, message: str, lines: Sequence[str]) -> None:
        super().__init__(message)
        self.lines = lines

    def format_message(self) -> str:
        """Return what is printed where no step shows the lines."""
        return "\n\t".join([self.message, *self.lines])


class Runner:
    """
    Runs programs, one at a time, and keeps what they print in a file each.

    @param directory: the director's, where the files are.
    """

    def __init__(self, directory: StateDirectory) -> None:
        self._directory = directory
        self._log: Path | None = None

    def last_line(self) -> str:
        """Return what the program that runs has printed last."""
        if self._log is None or not self._log.exists():
            return ""
        with self._log.open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - TAIL))
            lines = lines_that_matter(log.read().decode("utf-8", "replace"))
        return lines[-1] if lines else ""

    def run(self, name: str, argv: Sequence[str | Path], **where: Any) -> None:
        """
        Run a program to its end.

        @param name: of its log.
        @param where: as for L{read}.
        @raise CommandFailed: if it fails, or cannot be run.
        """
        self._run(name, argv, subprocess.STDOUT, **where)

    def read(self, name: str, argv: Sequence[str | Path], **where: Any) -> str:
        """
        Run a program to its end, and return its standard output.

        @param name: of the log of its standard error.
        @param where: C{environment}, beside what all programs have, and C{cwd}.
        @raise CommandFailed: if it fails, or cannot be run.
        """
        return self._run(name, argv, None, **where)

    def _run(
        self,
        name: str,
        argv: Sequence[str | Path],
        merged: int | None,
        environment: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> str:
        self._log = path = self._directory.logs / f"{name}.log"
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with open(fd, "wb", buffering=0) as log:
            try:
                finished = subprocess.run(
                    argv,
                    env={**passed(), **(environment or {})},
                    cwd=cwd,
                    stdin=subprocess.DEVNULL,
                    stdout=log if merged else subprocess.PIPE,
                    stderr=merged or log,
                    # bosh has all its files readable, also that with the passwords.
                    umask=0o077,
                    pass_fds=self._directory.held,
                    check=False,
                )
            except OSError as error:
                message = f"{argv[0]}: {error.strerror}"
                raise CommandFailed(message, ()) from None
            output = finished.stdout or b""
            if finished.returncode != 0:
                log.write(output)
        if finished.returncode != 0:
            raise CommandFailed(
                f"{Path(argv[0]).name} ended with status {finished.returncode}; "
                f"{path} has all that it printed",
                lines_that_matter(path.read_text("utf-8", "backslashreplace")),
            )
        return output.decode("utf-8", "backslashreplace")


def passed() -> dict[str, str]:
    """Return what of this environment programs get."""
    return {key: os.environ[key] for key in _PASSED if key in os.environ}


def lines_that_matter(text: str) -> list[str]:
    """Return the last lines of what a program printed, without blanks and progress."""
    # Of what is printed over, only the last is seen.
    lines = [line.rpartition("\r")[2].rstrip() for line in text.split("\n")]
    return [line for line in lines if line and not _PROGRESS.search(line)][-LINES:]
