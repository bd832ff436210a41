"""One row of a table of bad input."""

from __future__ import annotations

from typing import Any, NamedTuple


class Case(NamedTuple):
    """
    Bad input that is refused.

    @ivar name: what is wrong with it. @ivar given: the input. @ivar message: what the
    message must match from its beginning: the field, its value unless that can be a secret,
    and what is accepted. @ivar type: the error's type, without the prefix of all types.
    """

    name: str
    given: Any
    message: str
    type: str = "CpiError"


def ids(cases: list[Case]) -> list[str]:
    """Return the names of the cases; no two may be the same."""
    names = [case.name for case in cases]
    assert len(set(names)) == len(names)
    return names
