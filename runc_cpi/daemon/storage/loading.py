"""Reads all records of one kind, when the daemon starts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from runc_cpi.daemon.base.repairs import SET_ASIDE, Repairs
from runc_cpi.daemon.storage.records import read_record

T = TypeVar("T")


def load_all(
    records: Iterable[Path], parse: Callable[[Mapping[str, Any]], T], repairs: Repairs
) -> tuple[list[T], set[str]]:
    """
    Read all records of one kind; one that cannot be read is left as it is.

    @param records: the files, each in a directory that is named after what it is of.
    @param parse: makes a value of a record.
    @return: the values, and the names of the directories whose records cannot be read.
    """
    values: list[T] = []
    unreadable: set[str] = set()
    for record in records:
        unreadable.add(record.parent.name)
        with repairs.attempt(f"set {record} aside", happened=SET_ASIDE):
            values.append(parse(read_record(record)))
            unreadable.discard(record.parent.name)
    return values, unreadable
