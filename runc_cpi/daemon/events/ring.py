"""The events on disk: two files of lines, of which the older one is dropped in the end."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from threading import Lock

from runc_cpi.daemon.events.event import Event
from runc_cpi.daemon.events.filters import ALL, Filters

NEW, OLD = "events.jsonl", "events.old.jsonl"
CHUNK = 1 << 16  # bytes
# How the line of an event begins.
NUMBER = re.compile(rb'{"number": ([0-9]{1,18}),')


class Ring:
    """
    Keeps the last events, each a line of JSON.

    All methods wait for the disk: they are for threads.  Nothing is synced: after a power
    cut the last events may be missing or torn.  A torn line is passed over.

    @param directory: where the files are.
    @param size: how many bytes both may have together; half of that is there at least,
        once it was reached.
    """

    def __init__(self, directory: Path, size: int) -> None:
        self._new, self._old = directory / NEW, directory / OLD
        self._half = size // 2
        self._fd: int | None = None
        self._end = 0
        self._lock = Lock()

    def append(self, events: Sequence[Event]) -> None:
        """
        Write events.

        @raise OSError: if they cannot be written; nothing is left of them then that another
            attempt would not put right.
        """
        with self._lock:
            self._open()
            batch = bytearray()
            for line in (event.line() for event in events):
                if self._end + len(batch) + len(line) > self._half and self._end + len(
                    batch
                ):
                    self._write(batch)
                    self._turn_over()
                    batch = bytearray()
                batch += line
            self._write(batch)

    def newest(
        self, filters: Filters, limit: int, before: int | None = None
    ) -> list[Event]:
        """
        Return the newest events that are wanted, the newest first.

        @param limit: how many at most.
        @param before: the number that all must be below.
        @raise OSError: if they cannot be read.
        """
        return list(islice(self._wanted(filters, 0, before), limit))

    def count(self, filters: Filters, after: int, before: int) -> int:
        """
        Return how many events are wanted with numbers between two.

        @raise OSError: if they cannot be read.
        """
        return sum(1 for _ in self._wanted(filters, after, before))

    def _wanted(self, filters: Filters, after: int, before: int | None) -> Iterator[Event]:
        """Return the events that are wanted with numbers between two, the newest first."""
        marks = filters.marks
        for line in self._lines(before):
            number = NUMBER.match(line)
            if number is not None and int(number[1]) <= after:
                break
            if not all(mark in line for mark in marks):
                continue
            event = Event.from_line(line)
            if event is None or (before is not None and event.number >= before):
                continue
            before = event.number
            if filters.since is not None and event.time < filters.since:
                break
            if filters.match(event):
                yield event

    def last_number(self) -> int:
        """
        Make ready for L{append}, and return the number of the last event, or 0.

        @raise OSError: if the files cannot be read or written.
        """
        with self._lock:
            self._open()
        return next((event.number for event in self.newest(ALL, 1)), 0)

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._close()

    def _open(self) -> None:
        """Open the file, unless it is open and still there."""
        if self._fd is not None and os.fstat(self._fd).st_nlink:
            return
        self._close()
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        self._fd = os.open(self._new, flags, 0o600)
        self._end = os.fstat(self._fd).st_size
        # What a crash has torn must not be joined to the next line.
        if self._end and os.pread(self._fd, 1, self._end - 1) != b"\n":
            self._write(b"\n")

    def _close(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _write(self, data: bytes | bytearray) -> None:
        assert self._fd is not None
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[os.write(self._fd, rest) :]
        except OSError:
            with suppress(OSError):
                os.ftruncate(self._fd, self._end)
            raise
        self._end += len(data)

    def _turn_over(self) -> None:
        """Drop the older file, and begin a new one."""
        with suppress(FileNotFoundError):
            os.rename(self._new, self._old)
        self._close()
        self._open()

    def _lines(self, before: int | None) -> Iterator[bytes]:
        """
        Return all lines, the last one first; some twice if the files turn over.

        @param before: what a number must be below; most of the others are left out.
        """
        for path in (self._new, self._old):
            try:
                fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            except FileNotFoundError:
                continue
            try:
                yield from _backwards(fd, _end_of(fd, before))
            finally:
                os.close(fd)


def _end_of(fd: int, before: int | None) -> int:
    """Return where a line begins, or the file ends, with no number below one behind it."""
    low, high = 0, os.fstat(fd).st_size
    while before is not None and high - low > CHUNK:
        middle = (low + high) // 2
        data = os.pread(fd, CHUNK // 2, middle)
        start = data.find(b"\n") + 1
        number = NUMBER.match(data, start)
        if number is None:
            break  # it is torn
        if int(number[1]) < before:
            low = middle
        else:
            high = middle + start
    return high


def _backwards(fd: int, position: int) -> Iterator[bytes]:
    rest = b""
    while position:
        start = max(0, position - CHUNK)
        rest, *lines = (os.pread(fd, position - start, start) + rest).split(b"\n")
        yield from reversed(lines)
        position = start
    yield rest
