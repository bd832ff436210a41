"""Checks of single values, with messages that name the key and what is accepted."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any


class ConfigError(Exception):
    """A value is not acceptable; the message names the key and what is."""


PEM = "-----BEGIN "


def quoted(value: Any) -> str:
    """Return a value as it may stand in a message: what may be a key is left out."""
    text = repr(value)
    return "what looks like PEM" if PEM in text else text


def mapping(key: str, raw: Any, known: Collection[str]) -> Mapping[str, Any]:
    """Return a mapping with no other keys than the known ones; nothing is an empty one."""
    if raw is None:
        return {}
    if not isinstance(raw, dict):
        raise ConfigError(f"{key}: {quoted(raw)} must be keys and values")
    check_keys(f"{key}.", raw, known)
    return raw


def shown(key: str) -> str:
    """Return a key as it may stand in a message of one line."""
    return key if key.isprintable() else repr(key)


def check_keys(prefix: str, raw: Mapping[Any, Any], known: Collection[str]) -> None:
    """Refuse unknown keys, which are typing errors more often than not."""
    unknown = sorted(str(key) for key in raw.keys() - set(known))
    if unknown:
        key = prefix + shown(unknown[0])
        raise ConfigError(f"{key}: unknown key; the known ones are {', '.join(known)}")


def choice(key: str, value: Any, choices: tuple[str, ...]) -> str:
    """Return one of some texts."""
    if not isinstance(value, str) or value not in choices:
        raise ConfigError(f"{key}: {quoted(value)} must be {' or '.join(choices)}")
    return value


def boolean(key: str, value: Any) -> bool:
    """Return a truth value."""
    if not isinstance(value, bool):
        raise ConfigError(f"{key}: {quoted(value)} must be true or false")
    return value


def number(key: str, value: Any, least: float, most: float) -> float:
    """Return a number between bounds."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ConfigError(f"{key}: {quoted(value)} must be a number")
    if not least <= value <= most:
        raise ConfigError(f"{key}: {value!r} must be from {least:g} to {most:g}")
    return value


def whole_number(key: str, value: Any, least: int, most: int) -> int:
    """Return a whole number between bounds."""
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ConfigError(
            f"{key}: {quoted(value)} must be a whole number from {least} to {most}"
        )
    return value


def texts(key: str, value: Any) -> tuple[str, ...]:
    """Return a list of texts."""
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ConfigError(f"{key}: {quoted(value)} must be a list of texts")
    return tuple(value)
