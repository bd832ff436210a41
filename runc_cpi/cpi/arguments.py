"""Checks of a method's arguments, with messages that name what is wrong."""

from __future__ import annotations

from runc_cpi.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, List, Tuple

    Kind = Callable[[str, Any], Any]
    Argument = Tuple[str, Kind]


def take(method: str, given: List[Any], *expected: Argument, optional: int = 0) -> Any:
    """
    Check the arguments of C{method}, in their order.

    @param expected: the name and kind of each.
    @param optional: how many of the last may be left out; they are L{None} then.
    @return: a list of as many values as there are expected.
    @raise InvalidArgument: naming the argument and what is accepted.
    """
    if not len(expected) - optional <= len(given) <= len(expected):
        names = ", ".join(name for name, _ in expected) or "none"
        raise InvalidArgument(
            f"{method}: wrong number of arguments: {len(given)} given, it takes {names}"
        )
    padded = given + [None] * (len(expected) - len(given))
    return [kind(name, value) for (name, kind), value in zip(expected, padded)]


TEXT_LIMIT = 1024


def shown(value: Any) -> str:
    """Return a value as messages name it: whole if it is short, or its beginning."""
    told = repr(value)
    return told if len(told) < 80 else f"{told[:60]}... ({type(value).__name__})"


def text(name: str, value: Any) -> str:
    """A string that is not empty and can be sent as UTF-8."""
    if not isinstance(value, str) or not value:
        raise InvalidArgument(f"{name}: {shown(value)} must be a string that is not empty")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        raise InvalidArgument(f"{name}: not a text that UTF-8 can hold") from None
    if "\0" in value:
        raise InvalidArgument(f"{name}: must not hold a NUL character")
    if len(value) > TEXT_LIMIT:
        message = f"{name}: has {len(value)} characters; {TEXT_LIMIT} are allowed"
        raise InvalidArgument(message)
    return value


def text_or_none(name: str, value: Any) -> Any:
    """A string that is not empty, or C{null}."""
    return None if value is None else text(name, value)


def mapping(name: str, value: Any) -> Any:
    """An object."""
    if not isinstance(value, dict):
        raise InvalidArgument(f"{name}: {shown(value)} must be an object")
    return value


def mapping_or_none(name: str, value: Any) -> Any:
    """An object; C{null} stands for an empty one."""
    return {} if value is None else mapping(name, value)


def secret_mapping_or_none(name: str, value: Any) -> Any:
    """An object; C{null} stands for an empty one.  The error does not tell the value."""
    if value is not None and not isinstance(value, dict):
        raise InvalidArgument(f"{name}: must be an object")
    return value or {}


def texts_or_none(name: str, value: Any) -> Any:
    """A list of strings; C{null}, which old CLIs send, stands for an empty one."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise InvalidArgument(f"{name}: {shown(value)} must be a list of strings")
    return [text(name, item) for item in value]


def amount(name: str, value: Any) -> int:
    """A whole number above zero."""
    if isinstance(value, bool) or not isinstance(value, int) or value <= 0:
        raise InvalidArgument(f"{name}: {value!r} must be a whole number above 0")
    return value
