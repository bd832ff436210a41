"""The daemon's log: text or JSON lines without secrets, each with its request."""

from __future__ import annotations

import json
from contextvars import ContextVar
from datetime import datetime, timezone
from typing import Any, TextIO

from twisted.logger import (
    FilteringLogObserver,
    ILogObserver,
    LogEvent,
    LogLevel,
    LogLevelFilterPredicate,
    eventAsText,
)
from zope.interface import implementer

from runc_cpi.daemon.base.redaction import redacted
from runc_cpi.daemon.base.spans import Spans
from runc_cpi.printable import printable

request_id: ContextVar[str] = ContextVar("request_id", default="")
"""The Director's id of the request that the running code works for."""

# These log a line for every connection, and the CPI makes one for every call.
QUIETED_NAMESPACES = ("twisted.protocols.amp", "twisted.internet")


def observer(stream: TextIO, log_format: str) -> ILogObserver:
    """
    Make the observer that writes the log.

    @param stream: where to write it.
    @param log_format: C{text} or C{json}.
    """
    is_logged = LogLevelFilterPredicate(LogLevel.info)
    for namespace in QUIETED_NAMESPACES:
        is_logged.setLogLevelForNamespace(namespace, LogLevel.warn)
    lines = Lines(stream, as_json if log_format == "json" else as_text)
    return FilteringLogObserver(lines, [is_logged])


@implementer(ILogObserver)
class Lines:
    """Writes each event as a text of one line or several, to C{stream}."""

    def __init__(self, stream: TextIO, formatter: Any) -> None:
        self._stream, self._formatter = stream, formatter

    def __call__(self, event: LogEvent) -> None:
        """Write an event, and flush the stream."""
        self._stream.write(self._formatter(event) + "\n")
        self._stream.flush()


def as_text(event: LogEvent) -> str:
    """Format for people: time, level, request, message."""
    request = request_id.get()
    mark = f" [{request}]" if request else ""
    # Further lines are indented, so that no input can forge a log line.
    lines = _message(event).rstrip("\n").split("\n")
    message = "\n    ".join(map(printable, lines))
    return f"{_time(event)} {_level(event)}{mark} {message}"


def as_json(event: LogEvent) -> str:
    """Format for machines: an object with the message and its parts."""
    parts: dict[str, Any] = {
        name: redacted(value) if isinstance(value, str) else value
        for name, value in event.items()
        if isinstance(value, (str, int, float)) and not name.startswith("log_")
    }
    spans = event.get("spans")
    if isinstance(spans, Spans):
        parts["spans"] = spans.to_json()
    entry = {
        **parts,
        "time": _time(event),
        "level": _level(event),
        "logger": event.get("log_namespace", ""),
        "request_id": request_id.get(),
        "message": _message(event),
    }
    return json.dumps(entry)


def _time(event: LogEvent) -> str:
    moment = datetime.fromtimestamp(event["log_time"], timezone.utc)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _level(event: LogEvent) -> str:
    level = event.get("log_level")
    return level.name if level is not None else "info"


def _message(event: LogEvent) -> str:
    return redacted(eventAsText(event, includeTimestamp=False, includeSystem=False))
