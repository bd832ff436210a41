"""
JSON for both programs, read and written by the C half of the C{json} module.

To import C{json} takes longer than Python's own start, since it imports C{re}; its C half
C{_json} takes a thirtieth of that.  So what is plain goes through C{_json}.  All else goes
to C{json}, which alone says what is wrong with a text: bad input, other encodings than
UTF-8, and everything where C{_json} is missing or differs.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, List, Union

MAX_DEPTH = 100
MAX_DIGITS = 4300  # of a whole number, as in Python since 3.11
BLANKS = " \t\n\r"


def loads(text: Union[bytes, str]) -> Any:
    """
    Parse JSON, but not what Python alone accepts, such as NaN, nor what nests too deeply.

    @raise ValueError: if the text is no JSON, or is refused.
    """
    try:
        value = _parse(
            text, parse_constant=_refuse_number, parse_float=_finite, parse_int=_short
        )
    except RecursionError:
        raise ValueError("it nests too deeply") from None
    openings: Any = b"[{" if isinstance(text, bytes) else "[{"
    # To count brackets is quick, and is enough for nearly all texts.
    if sum(map(text.count, (openings[:1], openings[1:]))) > MAX_DEPTH and _is_deep(value):
        raise ValueError(f"it nests deeper than {MAX_DEPTH}")
    return value


def loads_trusted(text: Union[bytes, str]) -> Any:
    """
    Parse what C{json.loads} does.

    @raise ValueError: if the text is no JSON.
    @raise RecursionError: if it nests too deeply.
    """
    return _parse(text)


def dumps(value: Any) -> str:
    """Write a value as C{json.dumps} does, in ASCII."""
    return _write(value, ensure_ascii=True)


def dumps_short(value: Any) -> str:
    """Write a value without escapes, which can be up to three times as long."""
    return _write(value, ensure_ascii=False)


def _is_deep(value: Any) -> bool:
    level = [value]
    for _ in range(MAX_DEPTH):
        inner: List[Any] = []
        for item in level:
            if isinstance(item, dict):
                inner += item.values()
            elif isinstance(item, list):
                inner += item
        level = inner
    return any(isinstance(item, (dict, list)) for item in level)


def _short(text: str) -> int:
    # It takes long to convert long ones, and not every Python refuses them.
    return int(text) if len(text) <= MAX_DIGITS else _refuse_number(text)


def _finite(text: str) -> float:
    value = float(text)
    return value if abs(value) != float("inf") else _refuse_number(text)


def _refuse_number(text: str) -> Any:
    raise ValueError(f"{text[:40]} is no number that JSON can hold")


def _refuse_value(value: Any) -> Any:
    raise TypeError(type(value))


class _Plain:
    """What C{_json.make_scanner} looks up in a decoder, for texts that nobody refuses."""

    strict = True
    object_hook = object_pairs_hook = None
    parse_constant, parse_float, parse_int = _refuse_number, _finite, _short


try:
    from _json import encode_basestring, encode_basestring_ascii, make_encoder, make_scanner

    _scan: Any = make_scanner(_Plain)  # type: ignore[arg-type]
    _make_encoder: Any = make_encoder
except (ImportError, TypeError, AttributeError):
    _scan = _make_encoder = None


def _parse(text: Union[bytes, str], **rules: Any) -> Any:
    """
    Parse a text.

    @param rules: those of C{json.loads}, which may take or refuse what is not plain.
    """
    if _scan is not None:
        try:
            return _parse_plain(text)
        except Exception:
            pass  # whatever it was, json decides
    import json

    return json.loads(text, **rules)


def _parse_plain(text: Union[bytes, str]) -> Any:
    if isinstance(text, bytes):
        # So begins what json.loads takes for UTF-8 without a mark.
        if not text[:1].isascii() or b"\0" in text[:4]:
            raise ValueError
        # It lets lone surrogates pass as well.
        text = text.decode("utf-8", "surrogatepass")
    stripped = text.strip(BLANKS)
    value, end = _scan(stripped, 0)
    if end != len(stripped):
        raise ValueError
    return value


def _write(value: Any, *, ensure_ascii: bool) -> str:
    if _make_encoder is not None:
        try:
            quote = encode_basestring_ascii if ensure_ascii else encode_basestring
            # Indent, separators, sort_keys, skipkeys and allow_nan, as json has them.
            rules = (None, ": ", ", ", False, False, True)
            return "".join(_make_encoder({}, _refuse_value, quote, *rules)(value, 0))
        except Exception:
            pass  # as above
    import json

    return json.dumps(value, ensure_ascii=ensure_ascii)
