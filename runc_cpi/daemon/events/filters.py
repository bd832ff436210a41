"""Which events an operator wants to see."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from typing_extensions import Self

from runc_cpi.daemon.events.event import FAILED, OK, Event, stamp
from runc_cpi.errors import InvalidArgument

EQUAL = ("method", "outcome", "request_id", "deployment", "instance")
KNOWN = (*EQUAL, "cid", "since")


@dataclass(frozen=True, kw_only=True)
class Filters:
    """
    What an event must be like; a filter that is L{None} lets all pass.

    @ivar equal: the values that some of L{EQUAL} must have.
    @ivar cid: what it must be about.
    @ivar since: when it must have been, or later, as L{stamp} has it.
    """

    equal: Mapping[str, str]
    cid: str | None = None
    since: str | None = None

    @classmethod
    def parse(cls, raw: Any) -> Self:
        """
        Check what was sent.

        @raise InvalidArgument: naming the filter, the value and what is accepted.
        """
        if raw is None:
            raw = {}
        if not isinstance(raw, dict):
            raise InvalidArgument(f"filters: {raw!r} must be names and values")
        for name, value in raw.items():
            if name not in KNOWN:
                known = ", ".join(KNOWN)
                raise InvalidArgument(f"filters: {name!r} is none; there are {known}")
            if name != "since" and (not isinstance(value, str) or not value):
                raise InvalidArgument(f"filters.{name}: {value!r} must be a text")
        if raw.get("outcome", OK) not in (OK, FAILED):
            outcome = raw["outcome"]
            raise InvalidArgument(f"filters.outcome: {outcome!r} must be {OK} or {FAILED}")
        return cls(
            equal={name: raw[name] for name in EQUAL if name in raw},
            cid=raw.get("cid"),
            since=_since(raw["since"]) if "since" in raw else None,
        )

    def match(self, event: Event) -> bool:
        """Say whether an event is wanted."""
        return (
            all(getattr(event, name) == value for name, value in self.equal.items())
            and (self.cid is None or self.cid in event.cids)
            and (self.since is None or event.time >= self.since)
        )

    @property
    def marks(self) -> tuple[bytes, ...]:
        """What stands in the line of each event that is wanted, and in few others."""
        pairs = [json.dumps({name: value})[1:-1] for name, value in self.equal.items()]
        if self.cid is not None:
            pairs.append(json.dumps(self.cid))
        return tuple(pair.encode("ascii") for pair in pairs)


ALL = Filters(equal={})


def _since(value: Any) -> str:
    wrong = f"filters.since: {value!r} must be seconds since 1970"
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise InvalidArgument(wrong)
    try:
        return stamp(value)
    except ValueError:
        raise InvalidArgument(wrong) from None
