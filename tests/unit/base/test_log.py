"""The log: each line names the request it belongs to, and no input can forge a line."""

from __future__ import annotations

import io
import json
from contextvars import copy_context
from typing import Any

import pytest
from twisted.logger import ILogObserver, Logger, LogLevel, LogPublisher
from zope.interface.verify import verifyObject

from runc_cpi.daemon.base.log import Lines, as_json, as_text, observer, request_id
from runc_cpi.daemon.base.spans import Spans


def event(**values: Any) -> dict[str, Any]:
    """Return an event at a known time."""
    return {
        "log_time": 1_893_553_445.6784,
        "log_level": LogLevel.info,
        "log_namespace": "runc_cpi.test",
        "log_format": "{text}",
        "text": "hello",
        **values,
    }


def formatted(formatter: Any, given: dict[str, Any], request: str = "") -> str:
    """Format an event that belongs to a request."""
    context = copy_context()
    context.run(request_id.set, request)
    return context.run(formatter, given)


def test_text() -> None:
    """A text line has the time in UTC, the level, the request and the message."""
    line = formatted(as_text, event(), "cpi-123456")
    assert line == "2030-01-02T03:04:05.678Z info [cpi-123456] hello"


@pytest.mark.parametrize("formatter", [as_text, as_json])
def test_secrets(formatter: Any) -> None:
    """No line has a secret, neither in its message nor in its parts."""
    line = formatted(formatter, event(text="at http://u:hunter2@h/x?t=hunter2"))
    assert "hunter2" not in line
    assert "at http://<redacted>@h/x?<redacted>" in line


def test_text_without_a_request() -> None:
    """A line that belongs to no request has no request in brackets."""
    assert formatted(as_text, event()) == "2030-01-02T03:04:05.678Z info hello"


@pytest.mark.parametrize("text", ["a\nb", "a\n\nb", "a\r\nb", "\nb", "a\n"])
def test_text_of_several_lines_is_set_in(text: str) -> None:
    """The second and further lines of a message are indented."""
    forged = text.replace("b", "2030-01-02T03:04:05.678Z info forged")
    first, *more = formatted(as_text, event(text=forged)).split("\n")
    assert first.startswith("2030-01-02T03:04:05.678Z info ")
    assert all(line.startswith("    ") for line in more)


@pytest.mark.parametrize(
    "control", ["\r", "\x1b[2K\x1b[1G", "\x08", "\x0b", "\x0c", "\x85"]
)
def test_text_holds_no_control_characters(control: str) -> None:
    """A text line has no control characters: on a terminal they could forge a line."""
    line = formatted(as_text, event(text=f"a{control}2030-01-02T03:04:05.678Z info forged"))
    assert all(character.isprintable() for character in line)


def test_json() -> None:
    """A JSON line is one object with the message and its parts."""
    line = formatted(as_json, event(log_format="made {vm_cid}", vm_cid="vm-1"), "cpi-1")
    assert json.loads(line) == {
        "time": "2030-01-02T03:04:05.678Z",
        "level": "info",
        "logger": "runc_cpi.test",
        "request_id": "cpi-1",
        "message": "made vm-1",
        "vm_cid": "vm-1",
        "text": "hello",
    }


@pytest.mark.parametrize(
    "text", ['a\nb"}\n{"level": "info"', "\ud800", "\x00\x1b", "\u2028"]
)
def test_json_is_always_one_line(text: str) -> None:
    """A JSON line is one line, whatever its parts hold."""
    line = formatted(as_json, event(text=text))
    assert len(line.splitlines()) == 1
    assert json.loads(line)["text"] == text


def test_json_has_spans() -> None:
    """The spans of a call are a list of objects."""
    spans = Spans(iter([0.0, 0.25, 1.0]).__next__)
    spans.add("record", 100.0)
    entry = json.loads(formatted(as_json, event(spans=spans)))
    assert entry["spans"] == [{"name": "record", "start": 100.0, "ms": 150.0}]


def test_parts_cannot_stand_for_fields() -> None:
    """A part that is named like a field does not replace the field."""
    names = ("time", "level", "logger", "request_id", "message")
    entry = json.loads(formatted(as_json, event(**dict.fromkeys(names, "forged")), "cpi-1"))
    assert [entry[name] for name in names] == [
        "2030-01-02T03:04:05.678Z",
        "info",
        "runc_cpi.test",
        "cpi-1",
        "hello",
    ]


@pytest.mark.parametrize("formatter", [as_text, as_json])
def test_an_event_without_a_format(formatter: Any) -> None:
    """An event without a message is formatted as one line."""
    bare = {"log_time": 0.0}
    assert formatted(formatter, bare).count("\n") == 0


@pytest.mark.parametrize("log_format", ["text", "json"])
@pytest.mark.parametrize("text", ["plain", "\ud800", "\u2603"])
def test_every_event_is_written(log_format: str, text: str) -> None:
    """An event is written even if it has a text that UTF-8 cannot encode."""
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="utf-8", newline="\n")
    write = observer(stream, log_format)
    verifyObject(ILogObserver, write)
    write(event(text=text))
    write(event(text="next"))
    lines = raw.getvalue().decode("utf-8").splitlines()
    assert len(lines) == 2
    assert "next" in lines[1]


@pytest.mark.parametrize(
    ("namespace", "level", "shown"),
    [
        ("runc_cpi.daemon", LogLevel.debug, False),
        ("runc_cpi.daemon", LogLevel.info, True),
        ("twisted.protocols.amp", LogLevel.info, False),
        ("twisted.protocols.amp", LogLevel.warn, True),
        ("twisted.internet.unix", LogLevel.info, False),
    ],
)
def test_connections_are_not_worth_a_line(namespace: str, level: Any, shown: bool) -> None:
    """Twisted's lines about each connection are not logged, but its warnings are."""
    stream = io.StringIO()
    observer(stream, "text")(event(log_namespace=namespace, log_level=level))
    assert bool(stream.getvalue()) is shown


def test_a_failure_shows_its_traceback() -> None:
    """The traceback of a failure is logged below the message, and indented."""
    stream = io.StringIO()
    log = Logger("runc_cpi.test", observer=LogPublisher(Lines(stream, as_text)))
    try:
        raise ValueError("a bug")
    except ValueError:
        log.failure("bug answering {command}", command="HasVM")
    first, *more = stream.getvalue().rstrip("\n").split("\n")
    assert first.endswith("critical bug answering HasVM")
    assert any("ValueError: a bug" in line for line in more)
    assert all(line.startswith("    ") for line in more)
