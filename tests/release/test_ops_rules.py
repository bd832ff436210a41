"""The rules of ops-files that the other tests rely on, as the bosh CLI has them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.release import ops

DOCUMENT = {"a": {"b": 1}, "l": [{"name": "x", "v": 1}, {"name": "y"}], "n": [1, 2]}


def replaced(path: str, value: Any, document: Any = DOCUMENT) -> Any:
    """Return the document after one replacement."""
    return ops.apply(document, [{"type": "replace", "path": path, "value": value}])


def removed(path: str) -> Any:
    """Return the document after one removal."""
    return ops.apply(DOCUMENT, [{"type": "remove", "path": path}])


def test_the_document_stays() -> None:
    """Operations change a copy, and not the document."""
    replaced("/a/b", 2)
    assert DOCUMENT["a"] == {"b": 1}


def test_replace() -> None:
    """replace changes what exists, and makes what is optional."""
    assert replaced("/a/b", 2)["a"] == {"b": 2}
    assert replaced("/a/c?", 2)["a"] == {"b": 1, "c": 2}
    assert replaced("/a/c?/d/e", 2)["a"] == {"b": 1, "c": {"d": {"e": 2}}}
    assert replaced("/m?/-", 2)["m"] == [2]
    assert replaced("/m?/name=z/w", 2)["m"] == [{"name": "z", "w": 2}]


def test_replace_in_lists() -> None:
    """Items of a list are found by index or by a key, or added at the end."""
    assert replaced("/n/0", 9)["n"] == [9, 2]
    assert replaced("/n/-1", 9)["n"] == [1, 9]
    assert replaced("/n/-", 9)["n"] == [1, 2, 9]
    assert replaced("/l/name=x/v", 2)["l"][0] == {"name": "x", "v": 2}
    assert replaced("/l/name=y", {"name": "z"})["l"][1] == {"name": "z"}
    assert replaced("/l/name=z?", {"name": "z"})["l"][2] == {"name": "z"}
    assert replaced("/l/name=z?/w", 1)["l"][2] == {"name": "z", "w": 1}


def test_remove() -> None:
    """remove deletes what exists; what is missing must be optional."""
    assert removed("/a/b")["a"] == {}
    assert removed("/l/name=x")["l"] == [{"name": "y"}]
    assert removed("/n/0")["n"] == [2]
    assert removed("/z?") == DOCUMENT
    assert removed("/z?/b") == DOCUMENT
    assert removed("/l/name=z?") == DOCUMENT


@pytest.mark.parametrize(
    "path", ["/z", "/a/z", "/z/b?", "/l/name=z/v", "/n/2", "/a/-", "/n/z", "/l/v", "z"]
)
def test_missing(path: str) -> None:
    """replace of what is missing and not optional is an error."""
    with pytest.raises(ops.OpsError):
        replaced(path, 1)


@pytest.mark.parametrize("path", ["/z", "/a/z", "/l/name=z", "/n/2"])
def test_nothing_to_remove(path: str) -> None:
    """remove of what is missing and not optional is an error."""
    with pytest.raises(ops.OpsError):
        removed(path)


def test_ambiguous() -> None:
    """An item that is found by name must be the only one with that name."""
    with pytest.raises(ops.OpsError, match="2 items"):
        replaced("/l/name=x/v", 1, {"l": [{"name": "x"}, {"name": "x"}]})


def test_variables() -> None:
    """A whole value keeps its kind; within a text it becomes text."""
    document = {"a": "((b))", "c": ["x((d.e)):9((b))", 1], "f": "((unknown))((tls.ca))"}
    assert ops.variables(document) == {"b", "d", "unknown", "tls"}
    values = {"b": [1], "d": {"e": 2}, "tls": {}}
    told = ops.interpolate(document, values)
    assert told == {"a": [1], "c": ["x2:9[1]", 1], "f": "((unknown))((tls.ca))"}
