"""Events for tests."""

from __future__ import annotations

from typing import Any

from runc_cpi.daemon.events.event import CALL, OK, Event

VALUES: dict[str, Any] = {
    "source": CALL,
    "method": "has_vm",
    "outcome": OK,
    "request_id": "cpi-1",
    "deployment": "cf",
    "instance": "db/0",
    "cids": ("vm-1",),
    "seconds": 0.5,
    "error": "",
    "text": "",
}


def event(number: int, **changes: Any) -> Event:
    """Return an event of a number, with changes."""
    time = f"2026-01-01T00:00:{number % 60:02}.000Z"
    return Event(**{"number": number, "time": time, **VALUES, **changes})
