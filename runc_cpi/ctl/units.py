"""Numbers, as people read them."""

from __future__ import annotations

from datetime import datetime, timezone

STEP = 1024
UNITS = ("B", "KiB", "MiB", "GiB", "TiB")
# In seconds; each is used from two of them on.
SPANS = (("d", 86400), ("h", 3600), ("min", 60))
NOTHING = "-"


def size(count: float | None) -> str:
    """Return bytes such as C{1.5 GiB}; a dash if they are not known."""
    if count is None:
        return NOTHING
    for unit in UNITS[:-1]:
        if count < STEP:
            return f"{count:.3g} {unit}" if count < 1000 else f"{count:.0f} {unit}"
        count /= STEP
    return f"{count:.0f} {UNITS[-1]}" if count >= 1000 else f"{count:.3g} {UNITS[-1]}"


def of(part: float | None, whole: float | None) -> str:
    """Return how many bytes of how many; of no limit only the first."""
    if part is None or whole is None:
        return size(part)
    return f"{size(part)} of {size(whole)}"


def percent(processors: float | None) -> str:
    """Return how busy processors are, as top(1) does: one that is always busy is 100%."""
    return NOTHING if processors is None else f"{processors * 100:.0f}%"


def span(seconds: float) -> str:
    """Return a time such as C{3 h}."""
    for unit, length in SPANS:
        if seconds >= 2 * length:
            return f"{seconds // length:.0f} {unit}"
    return f"{max(0, seconds):.0f} s"


def age(created_at: str, now: datetime | None = None) -> str:
    """
    Return how long ago something was made.

    @param created_at: when, in ISO 8601.
    """
    try:
        made = datetime.fromisoformat(created_at.replace("Z", "+00:00"))
        return span(((now or datetime.now(timezone.utc)) - made).total_seconds())
    except (TypeError, ValueError):
        return NOTHING
