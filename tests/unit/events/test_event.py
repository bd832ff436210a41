"""Events: what they are made of, and which of them are wanted."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import pytest

from runc_cpi.daemon.events.event import (
    MOST_CIDS,
    NAME_SIZE,
    TEXT_SIZE,
    Event,
    all_named,
    cids_in,
    stamp,
    told,
)
from runc_cpi.daemon.events.filters import Filters
from runc_cpi.errors import InvalidArgument
from tests.unit.events.examples import event

VM = "vm-01234567-89ab-cdef-0123-456789abcdef"
DISK = VM.replace("vm", "disk")
PEM = "-----BEGIN RSA PRIVATE KEY-----\nMIIsecret\n-----END RSA PRIVATE KEY-----\n"


def test_a_line_is_read_as_it_was_written() -> None:
    """An event survives its line, which has no other line in it."""
    odd = event(7, text="two\nlines \u2603", seconds=None, cids=("a", "b"))
    assert odd.line().count(b"\n") == 1
    assert Event.from_line(odd.line()) == odd
    assert json.loads(odd.line()) == {**asdict(odd), "cids": ["a", "b"]}


@pytest.mark.parametrize(
    "line",
    [
        *(b"", b"\0\0\0", b"{", b"[]", b"3", b"null", b"{}"),
        *(b'{"number": 1}', event(1).line()[:-9], event(1).line()[9:]),
        event(1).line().replace(b'"number": 1', b'"number": "1"'),
        event(1).line().replace(b'"text"', b'"other"'),
    ],
)
def test_lines_that_are_none(line: bytes) -> None:
    """What is no event, or that of another version, is passed over."""
    assert Event.from_line(line) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("a\x1b[31m\u202e", "a\\x1b[31m\\u202e"),
        ("at nats://user:hunter2@10.0.0.6:4222/x", "at nats://<redacted>@10.0.0.6:4222/x"),
        (f"key: {PEM}end", "key: -----BEGIN <redacted>-----\nend"),
        (f"key: {PEM[:40]}", "key: -----BEGIN <redacted>"),
        ("-----BEGIN ", "-----BEGIN "),
        ("vips@home: a@b", "vips@home: a@b"),
    ],
)
def test_texts(text: str, expected: str) -> None:
    """A text is printable, and shows no password of a URL and no key."""
    assert told(text) == expected


def test_long_texts() -> None:
    """A text and the names of an event are bounded."""
    assert told("x" * 5000) == "x" * (TEXT_SIZE - 1) + "…"
    assert len(told("\x1b" * 5000)) == TEXT_SIZE
    assert len(told(PEM * 500)) <= TEXT_SIZE
    names = all_named(["", "a", "b\n", "a", "n" * 500, *map(str, range(99))])
    assert names[:2] == ("a", "b\\n")
    assert len(names[2]) == NAME_SIZE
    assert len(names) == MOST_CIDS


def test_ids_in_texts() -> None:
    """The ids that a text names are found, each once."""
    assert cids_in(f"gave {DISK} to {VM} ({VM}) again") == (DISK, VM)
    assert cids_in("vm-1, a disk-x and xvm-01234567") == ()


def test_times_sort() -> None:
    """Times have one format, so that they sort as texts."""
    assert stamp(0) == "1970-01-01T00:00:00.000Z"
    assert stamp(1767225600.25) == "2026-01-01T00:00:00.250Z"


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (None, True),
        ({}, True),
        ({"method": "has_vm", "deployment": "cf", "instance": "db/0"}, True),
        ({"method": "has_vm", "deployment": "other"}, False),
        ({"outcome": "ok"}, True),
        ({"outcome": "failed"}, False),
        ({"request_id": "cpi-1"}, True),
        ({"request_id": "cpi"}, False),
        ({"cid": "vm-1"}, True),
        ({"cid": "vm"}, False),
        ({"since": 1767225601}, True),
        ({"since": 1767225601.5}, False),
    ],
)
def test_filters(raw: Any, expected: bool) -> None:
    """All filters must be met; the line of an event that is wanted has all their marks."""
    filters = Filters.parse(raw)
    first = event(1)
    assert filters.match(first) is expected
    if expected:
        assert all(mark in first.line() for mark in filters.marks)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (5, "filters: 5 must be names and values"),
        ({"cids": "x"}, "filters: 'cids' is none; there are method, outcome, "),
        ({"method": 5}, "filters.method: 5 must be a text"),
        ({"cid": ""}, "filters.cid: '' must be a text"),
        ({"outcome": "maybe"}, "filters.outcome: 'maybe' must be ok or failed"),
        ({"since": "now"}, "filters.since: 'now' must be seconds since 1970"),
        ({"since": True}, "filters.since: True must be seconds since 1970"),
        ({"since": 1e99}, r"filters.since: 1e\+99 must be seconds since 1970"),
    ],
)
def test_filters_that_are_no_good(raw: Any, message: str) -> None:
    """A filter that is no good is refused by name, with what is accepted."""
    with pytest.raises(InvalidArgument, match=message):
        Filters.parse(raw)
