"""What a check finds, and what it is about."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from runc_cpi.daemon.config import DaemonConfig

OK, WARNING, FAULT = "ok", "warning", "fault"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """
    What a check finds.

    @ivar check: the name of what was looked at, such as C{kernel module loop}.
    @ivar state: L{OK}; L{WARNING} if something may go wrong; L{FAULT} if something does.
    @ivar seen: what was seen, as a text for people.
    @ivar advice: what to type or to do; nothing if all is well.
    """

    check: str
    state: str
    seen: str
    advice: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return it as the operator's tool prints it."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class Patient:
    """
    The host that is looked at, as the daemon is to use it.

    @ivar is_served: whether the daemon is there.
    @ivar is_refused: whether it is there, and does not let us ask.
    """

    config: DaemonConfig
    is_served: bool
    is_refused: bool = False


def fine(check: str, seen: str) -> Finding:
    """Find that all is well."""
    return Finding(check=check, state=OK, seen=seen)


def warning(check: str, seen: str, advice: str) -> Finding:
    """Find that something may go wrong."""
    return Finding(check=check, state=WARNING, seen=seen, advice=advice)


def unseen(check: str, why: str) -> Finding:
    """Find that one cannot look, or may not: that says nothing of the host."""
    advice = "run this as root, on the daemon's host"
    return warning(check, f"cannot be looked at: {why}", advice)


def fault(check: str, seen: str, advice: str) -> Finding:
    """Find that something goes wrong."""
    return Finding(check=check, state=FAULT, seen=seen, advice=advice)
