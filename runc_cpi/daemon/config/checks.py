"""
Checks of single values, with messages that name the key and what is accepted.

A check is a function of a key's whole name, such as C{disks.driver}, and of the value that
YAML gives for it.  It returns the value that the daemon uses, or raises L{ConfigError}.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

Check = Callable[[str, Any], Any]


class ConfigError(Exception):
    """A value is not acceptable; the message names the key and what is."""


PEM = "-----BEGIN "


def quoted(value: Any) -> str:
    """Return a value as it may stand in a message: what may be a key is left out."""
    text = repr(value)
    return "what looks like PEM" if PEM in text else text


def shown(key: str) -> str:
    """Return a key as it may stand in a message of one line."""
    return key if key.isprintable() else repr(key)


def check_keys(prefix: str, raw: Mapping[Any, Any], known: Collection[str]) -> None:
    """
    Refuse unknown keys, which are typing errors more often than not.

    @param prefix: the name of the section and a dot, or nothing.
    @raise ConfigError: naming the key and all that are known.
    """
    unknown = sorted(str(key) for key in raw.keys() - set(known))
    if unknown:
        key = prefix + shown(unknown[0])
        raise ConfigError(f"{key}: unknown key; the known ones are {', '.join(known)}")


def text(accepted: str, check: Check | None = None) -> Check:
    """
    Check for a text.

    @param accepted: what is accepted, for the message about a value that is no text.
    @param check: looks at the text itself.
    """

    def check_text(key: str, value: Any) -> Any:
        if not isinstance(value, str):
            raise ConfigError(f"{key}: {quoted(value)} must be {accepted}")
        return value if check is None else check(key, value)

    return check_text


def choice(*choices: str) -> Check:
    """Check for one of some texts."""
    all_choices = f"{', '.join(choices[:-1])} or {choices[-1]}"

    def check_choice(key: str, value: Any) -> str:
        if not isinstance(value, str) or value not in choices:
            raise ConfigError(f"{key}: {quoted(value)} must be {all_choices}")
        return value

    return check_choice


def boolean(key: str, value: Any) -> bool:
    """Check for a truth value."""
    if not isinstance(value, bool):
        raise ConfigError(f"{key}: {quoted(value)} must be true or false")
    return value


def number(least: float, most: float) -> Check:
    """Check for a number between bounds, which are accepted as well."""

    def check_number(key: str, value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise ConfigError(f"{key}: {quoted(value)} must be a number")
        if not least <= value <= most:
            raise ConfigError(f"{key}: {value!r} must be from {least:g} to {most:g}")
        return value

    return check_number


def whole_number(least: int, most: int) -> Check:
    """Check for a whole number between bounds, which are accepted as well."""

    def check_whole_number(key: str, value: Any) -> int:
        is_whole = isinstance(value, int) and not isinstance(value, bool)
        if not is_whole or not least <= value <= most:
            raise ConfigError(
                f"{key}: {quoted(value)} must be a whole number from {least} to {most}"
            )
        return int(value)

    return check_whole_number


def texts(key: str, value: Any) -> tuple[str, ...]:
    """Check for a list of texts."""
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ConfigError(f"{key}: {quoted(value)} must be a list of texts")
    return tuple(value)
