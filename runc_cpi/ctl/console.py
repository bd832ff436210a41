"""What a VM wrote to its console, and goes on to write."""

from __future__ import annotations

import codecs
import io
import os
import sys
import time
from collections.abc import Iterator
from io import FileIO
from pathlib import Path

import click

from runc_cpi.printable import printable

CONSOLE = "console.log"
OLD_CONSOLE = "console.log.1"
TAIL = 1 << 20
CHUNK = 1 << 16
# By so many bytes, the last that were read, it is known again how far that was.
MARK = 1 << 10
# Between two looks, in seconds.
INTERVAL = 0.2
KEPT = "\n\t"


def show_console(directory: Path, lines: int | None, *, follow: bool) -> None:
    """
    Print the end of a VM's console, at most L{TAIL} bytes of it.

    @param directory: the VM's.
    @param lines: how many lines of that to print, or L{None} for all.
    @param follow: whether to go on with what is written from then on.
    @raise click.ClickException: if it cannot be read.
    """
    decoder = io.IncrementalNewlineDecoder(
        # Ends of lines are all the same here: a bare \r would have a line overwritten.
        codecs.getincrementaldecoder("utf-8")("backslashreplace"),
        translate=True,
    )
    try:
        with (directory / CONSOLE).open("rb", buffering=0) as console:
            tail = _old_tail(directory) + _tail(console)
            text = decoder.decode(tail[-TAIL:], final=not follow)
            if lines is not None:
                text = "".join(text.splitlines(keepends=True)[-lines:] if lines else [])
            _print(text)
            if follow:
                for data in _written(console, directory):
                    _print(decoder.decode(data))
    except BrokenPipeError:
        raise  # nobody reads what is printed
    except OSError as error:
        message = f"{directory / CONSOLE}: {error.strerror}"
        raise click.ClickException(message) from None
    except KeyboardInterrupt:
        return


def _print(text: str) -> None:
    sys.stdout.write(printable(text, KEPT))
    sys.stdout.flush()


def _old_tail(directory: Path) -> bytes:
    """Read what was moved aside last."""
    try:
        with (directory / OLD_CONSOLE).open("rb", buffering=0) as old:
            return _tail(old)
    except FileNotFoundError:
        return b""


def _tail(file: FileIO) -> bytes:
    size = os.fstat(file.fileno()).st_size
    file.seek(max(0, size - TAIL))
    # A VM may write faster than this reads.
    return file.read(TAIL)


def _written(console: FileIO, directory: Path) -> Iterator[bytes]:
    """Return what is written from here on, as long as there is the VM."""
    last = b""
    while (directory / CONSOLE).exists():
        data = console.read(CHUNK)
        if data:
            last = data[-MARK:]
            yield data
            continue
        time.sleep(INTERVAL)
        if os.fstat(console.fileno()).st_size < console.tell():
            # The daemon moved aside what was there, with what was not read yet.
            old = _old_tail(directory)
            yield old.rpartition(last)[2] if last else old
            last = b""
            console.seek(0)
