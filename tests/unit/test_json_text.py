"""JSON by the C half of the json module, and by the whole of it: nobody can tell which."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runc_cpi import json_text

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)
PIECES = st.sampled_from(
    ["{", "}", "[", "]", ",", ":", '"a"', '"\\ud800"', '"\\q"', "-", "1", "01", "1.5"]
    + ["1e9", "NaN", "-Infinity", "true", "nul", " ", "\n"]
    + ["\xa0", "\0", "\ufeff", "\ud800", "\x7f"]
)


@pytest.fixture(params=["the C half", "json"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each way in turn."""
    if request.param == "json":
        monkeypatch.setattr(json_text, "_scan", None)
        monkeypatch.setattr(json_text, "_make_encoder", None)
    return str(request.param)


def outcome(function: Any, *arguments: Any, **options: Any) -> tuple[str, str]:
    """Return what a function returns, or what it raises, as texts."""
    try:
        return "returns", repr(function(*arguments, **options))
    except Exception as error:
        return type(error).__name__, str(error)


def by_json(text: str | bytes) -> tuple[str, str]:
    """Return what C{json} makes of a text, with our rules."""
    return outcome(
        json.loads,
        text,
        parse_constant=json_text._refuse_number,
        parse_float=json_text._finite,
        parse_int=json_text._short,
    )


def test_the_c_half_is_used_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plain values are neither read nor written by C{json}."""
    monkeypatch.setitem(sys.modules, "json", None)
    value: Any = {"a": [1, -2.5, True, None, "\u2603", {}]}
    text = json_text.dumps(value)
    for written in (text, text.encode(), f" \r\n\t{text}\n", json_text.dumps_short(value)):
        assert json_text.loads(written) == value
        assert json_text.loads_trusted(written) == value


@given(VALUES)
def test_values_are_written_as_json_does(value: Any) -> None:
    """Both ways of writing are those of C{json}."""
    assert json_text.dumps(value) == json.dumps(value)
    assert json_text.dumps_short(value) == json.dumps(value, ensure_ascii=False)


def test_what_json_cannot_write() -> None:
    """It is refused in the words of C{json}."""
    ring: list[Any] = []
    ring.append(ring)
    for value in (b"x", {1, 2}, {"a": object}, {(1, 2): 3}, ring):
        assert outcome(json_text.dumps, value) == outcome(json.dumps, value)


@given(VALUES)
def test_texts_of_json(value: Any) -> None:
    """What C{json} wrote is read alike, as text and as bytes."""
    text = json.dumps(value, ensure_ascii=False)
    assert outcome(json_text.loads_trusted, text) == outcome(json.loads, text)
    assert outcome(json_text.loads, text.encode("utf-8", "surrogatepass")) == by_json(text)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-32-be"])
def test_other_encodings(way: str, encoding: str) -> None:
    """All that C{json} takes are read."""
    assert json_text.loads('{"a": "\u2603"}'.encode(encoding)) == {"a": "\u2603"}


@given(st.lists(PIECES, max_size=12).map("".join))
def test_texts_that_may_be_no_json(text: str) -> None:
    """They are refused in the words of C{json}, which name the place."""
    assert outcome(json_text.loads, text) == by_json(text)
    assert outcome(json_text.loads_trusted, text) == outcome(json.loads, text)
    raw = text.encode("utf-8", "surrogatepass")
    assert outcome(json_text.loads, raw) == by_json(raw)


@given(st.binary(max_size=12))
def test_bytes_of_any_kind(raw: bytes) -> None:
    """Bytes are taken as C{json} takes them: its rules tell the encoding."""
    for text in (raw, b"{" + raw, b'["' + raw + b'"]'):
        assert outcome(json_text.loads, text) == by_json(text)


def test_a_c_half_that_differs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A C half that cannot be used as we do costs time, and no call."""

    def changed(*arguments: Any) -> Any:
        raise TypeError("takes other arguments")

    monkeypatch.setattr(json_text, "_scan", changed)
    monkeypatch.setattr(json_text, "_make_encoder", changed)
    assert json_text.loads('{"a": 1}') == {"a": 1}
    assert json_text.dumps({"a": 1}) == '{"a": 1}'


def test_the_last_of_two_keys_counts(way: str) -> None:
    """As with any reader of JSON."""
    assert json_text.loads('{"a": 1, "b": 2, "a": 3}') == {"a": 3, "b": 2}


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        '{"a":' * 100_000,
        "[" * (json_text.MAX_DEPTH + 1) + "]" * (json_text.MAX_DEPTH + 1),
        '{"a":[' * 51 + "]}" * 51,
        "1e400",
        "NaN",
        "9" * 5000,
    ],
    ids=lambda text: text[:10],
)
def test_json_that_nobody_could_pass_on(way: str, text: str) -> None:
    """It is refused as a whole, as text and as bytes."""
    with pytest.raises(ValueError):
        json_text.loads(text)
    with pytest.raises(ValueError):
        json_text.loads(text.encode())


def test_long_numbers_take_no_time(way: str) -> None:
    """They are refused before they are converted, also by a Python that would convert."""
    longest = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(0)
    try:
        allowed = "9" * json_text.MAX_DIGITS
        assert json_text.loads(allowed) == int(allowed)
        with pytest.raises(ValueError, match="is no number that JSON can hold"):
            json_text.loads(allowed + "9")
    finally:
        sys.set_int_max_str_digits(longest)


def test_json_with_measure(way: str) -> None:
    """Depth is counted as it is, and not by the number of objects."""
    deepest = "[" * json_text.MAX_DEPTH + "]" * json_text.MAX_DEPTH
    for text in (deepest, json.dumps([[{}]] * 1000), json.dumps("[{" * 1000)):
        assert json_text.loads(text) == json.loads(text)
        assert json_text.loads(text.encode()) == json.loads(text)
