"""
BOSH's ops-files and variables, as far as manifests need them: operations C{replace} and
C{remove}, and C{((names))} in values.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

_VARIABLE = re.compile(r"\(\(([-\w./]+)\)\)")
_NOTHING = object()


class OpsError(Exception):
    """An operation cannot be applied; the message has its path."""


@dataclass(frozen=True)
class Step:
    """
    One part of a path.

    @ivar kind: C{key}, C{index}, C{match} (an item by one of its keys) or C{end}.
    @ivar key: of a mapping, or that items are compared by.
    @ivar value: what the item's key must have, or an index.
    @ivar optional: whether it may be missing.
    """

    kind: str
    key: str = ""
    value: str | int = ""
    optional: bool = False


def parse_path(path: str) -> list[Step]:
    """Read a path such as C{/a/name=b/c?/-}."""
    if not path.startswith("/"):
        raise OpsError(f"{path}: must begin with a slash")
    steps: list[Step] = []
    # What follows an optional part is optional as well.
    optional = False
    for part in path[1:].split("/"):
        optional = optional or part.endswith("?")
        name = part.removesuffix("?").replace("~1", "/").replace("~0", "~")
        if name == "-":
            steps.append(Step("end"))
        elif re.fullmatch(r"-?\d+", name):
            steps.append(Step("index", value=int(name)))
        elif "=" in name:
            key, _, value = name.partition("=")
            steps.append(Step("match", key, value, optional))
        else:
            steps.append(Step("key", name, optional=optional))
    return steps


def apply(document: Any, operations: Sequence[Mapping[str, Any]]) -> Any:
    """
    Return the document after all operations.

    @raise OpsError: at the first operation that cannot be applied.
    """
    root = {"": copy.deepcopy(document)}
    for operation in operations:
        unknown = operation.keys() - {"type", "path", "value", "name", "error", "release"}
        if unknown:
            raise OpsError(f"{operation}: unknown keys {unknown}")
        path = operation["path"]
        steps = [Step("key", ""), *parse_path(path)]
        try:
            if operation["type"] == "replace":
                _replace(root, steps, copy.deepcopy(operation["value"]))
            elif operation["type"] == "remove":
                _remove(root, steps)
            else:
                raise OpsError(f"unknown type {operation['type']}")
        except OpsError as error:
            raise OpsError(f"{path}: {error}") from None
    return root[""]


def _replace(place: Any, steps: Sequence[Step], value: Any) -> None:
    for step, following in zip(steps, steps[1:], strict=False):
        found = _get(place, step)
        if found is _NOTHING:
            if not step.optional:
                raise OpsError(f"no {step.key or step.value}")
            found = {} if following.kind == "key" else []
            if step.kind == "match":
                found = {step.key: step.value}
            _set(place, step, found)
        place = found
    last = steps[-1]
    must_be = last.kind not in ("end", "index") and not last.optional
    if must_be and _get(place, last) is _NOTHING:
        raise OpsError(f"no {last.key}")
    _set(place, last, value)


def _remove(place: Any, steps: Sequence[Step]) -> None:
    for step in steps[:-1]:
        place = _get(place, step)
        if place is _NOTHING:
            if step.optional:
                return
            raise OpsError(f"no {step.key or step.value}")
    last = steps[-1]
    if _get(place, last) is _NOTHING:
        if last.optional:
            return
        raise OpsError(f"no {last.key or last.value}")
    del place[last.key if last.kind == "key" else _position(place, last)]


def _get(place: Any, step: Step) -> Any:
    if step.kind == "key":
        if not isinstance(place, dict):
            raise OpsError(f"{step.key}: there are no keys here")
        return place.get(step.key, _NOTHING)
    position = _position(place, step)
    return _NOTHING if position is None else place[position]


def _set(place: Any, step: Step, value: Any) -> None:
    if step.kind == "key":
        if not isinstance(place, dict):
            raise OpsError(f"{step.key}: there are no keys here")
        place[step.key] = value
        return
    position = _position(place, step)
    if position is not None:
        place[position] = value
    else:
        place.append(value)


def _position(place: Any, step: Step) -> int | None:
    if not isinstance(place, list):
        raise OpsError(f"{step.key or step.value}: there is no list here")
    if step.kind == "end":
        return None
    if step.kind == "index":
        assert isinstance(step.value, int)
        if not -len(place) <= step.value < len(place):
            raise OpsError(f"{step.value}: the list has {len(place)} items")
        return step.value
    found = [
        position
        for position, item in enumerate(place)
        if isinstance(item, dict) and str(item.get(step.key)) == step.value
    ]
    if len(found) > 1:
        raise OpsError(f"{step.key}={step.value}: {len(found)} items are so")
    return found[0] if found else None


def load(path: Path) -> Any:
    """Read a YAML file."""
    return yaml.safe_load(path.read_text("utf-8"))


def variables(document: Any) -> set[str]:
    """Return the variables that a document needs, without the names of their parts."""
    if isinstance(document, dict):
        return set().union(*map(variables, document.values()))
    if isinstance(document, list):
        return set().union(*map(variables, document))
    if isinstance(document, str):
        return {name.partition(".")[0] for name in _VARIABLE.findall(document)}
    return set()


def interpolate(document: Any, values: Mapping[str, Any]) -> Any:
    """
    Put values in place of variables; unknown variables stay.

    A text that is a variable and nothing else becomes its value, of whatever kind.
    """
    if isinstance(document, dict):
        return {key: interpolate(value, values) for key, value in document.items()}
    if isinstance(document, list):
        return [interpolate(value, values) for value in document]
    if not isinstance(document, str):
        return document
    whole = _VARIABLE.fullmatch(document)
    if whole:
        return _value(whole, values)
    return _VARIABLE.sub(lambda found: str(_value(found, values)), document)


def _value(found: re.Match[str], values: Mapping[str, Any]) -> Any:
    value: Any = values
    for key in found[1].split("."):
        if not isinstance(value, Mapping) or key not in value:
            return found[0]
        value = value[key]
    return value
