"""One event: a call that has ended, or something that the daemon did by itself."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import datetime, timezone
from typing import Any

from runc_cpi.daemon.base.redaction import redacted
from runc_cpi.printable import printable

# What did it.
CALL, DAEMON = "call", "daemon"
# How it ended.
OK, FAILED = "ok", "failed"
TEXT_SIZE = 1024  # characters of why it failed, or of what was done
NAME_SIZE = 128  # characters of a name or an id
MOST_CIDS = 16

CID = re.compile(
    r"\b(?:vm|disk|stemcell|snapshot|network)-[0-9a-f]{8}(?:-[0-9a-f]{4,12}){4}\b"
)


@dataclass(frozen=True, kw_only=True)
class Event:
    """
    What happened.  All texts are printable and short, and none is a secret.

    @ivar number: greater than those of all events before it.
    @ivar time: when it ended, in ISO 8601, with milliseconds.
    @ivar source: L{CALL} or L{DAEMON}.
    @ivar method: what the contract calls the call, such as C{create_vm}; or what the daemon
        did, such as C{vm_ended}.
    @ivar outcome: L{OK} or L{FAILED}.
    @ivar request_id: the Director's id of the request, or an empty text.
    @ivar deployment: of the VM or disk, or an empty text.
    @ivar instance: what BOSH calls the VM, or an empty text.
    @ivar cids: what it is about.
    @ivar seconds: how long a call took, or L{None}.
    @ivar error: the class of the error that the caller was told, or an empty text.
    @ivar text: why it failed, or what the daemon did.
    """

    number: int
    time: str
    source: str
    method: str
    outcome: str
    request_id: str
    deployment: str
    instance: str
    cids: tuple[str, ...]
    seconds: float | None
    error: str
    text: str

    def to_json(self) -> dict[str, Any]:
        """Return what operators are told, and what is kept."""
        return {**vars(self), "cids": list(self.cids)}

    def line(self) -> bytes:
        """Return the line that is kept on disk."""
        return json.dumps(self.to_json()).encode("ascii") + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> Event | None:
        """Read such a line, or return L{None} if it is torn, or of another version."""
        try:
            raw = json.loads(line)
            event = cls(**{**raw, "cids": tuple(raw["cids"])})
        except (ValueError, TypeError, KeyError):
            return None
        return event if type(event.number) is int else None


FIELDS = tuple(field.name for field in fields(Event))


def stamp(moment: float) -> str:
    """
    Return a time as events have it, which sorts as times do.

    @param moment: in seconds since 1970.
    @raise ValueError: if there is no such time.
    """
    try:
        time = datetime.fromtimestamp(moment, timezone.utc)
    except (OverflowError, OSError) as error:
        raise ValueError(str(error)) from None
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def told(text: str) -> str:
    """Return a text as an event may have it: printable, short, and without secrets."""
    # What is far behind the end is not looked at.
    return _short(printable(redacted(text[: 4 * TEXT_SIZE]), "\n\t"), TEXT_SIZE)


def named(name: str) -> str:
    """Return a name or an id as an event may have it: printable, and short."""
    return _short(printable(name[:NAME_SIZE], ""), NAME_SIZE)


def all_named(names: Iterable[str]) -> tuple[str, ...]:
    """Return names as an event may have them, each once, and not too many."""
    return tuple(dict.fromkeys(named(name) for name in names if name))[:MOST_CIDS]


def _short(text: str, size: int) -> str:
    return text if len(text) <= size else text[: size - 1] + "…"


def cids_in(text: str) -> tuple[str, ...]:
    """Return the ids that are named in a text."""
    return tuple(dict.fromkeys(CID.findall(text)))[:MOST_CIDS]
