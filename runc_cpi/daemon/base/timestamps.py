"""The time as records have it."""

from __future__ import annotations

from datetime import datetime, timezone


def now() -> str:
    """Return the time, in ISO 8601."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
