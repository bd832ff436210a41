"""
The table of keys: each field of a configuration class is one key.

Fields are declared with L{key}, L{required} and L{section}.  The parser and the reference
in docs/configuration.md are made from these declarations.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any

from typing_extensions import Self

from runc_cpi.daemon.config.checks import Check, ConfigError, check_keys, quoted


@dataclass(frozen=True, kw_only=True)
class Key:
    """
    One key of the configuration file.

    @ivar name: as it stands in the file.
    @ivar field: the name of the field that has its value.
    @ivar check: turns what the file says into the value of the field.
    @ivar is_required: whether it must be there.
    @ivar default: what it stands for when it is not there, in Markdown.
    @ivar doc: what it means, in one line of Markdown.
    @ivar only: the C{network_type} that it goes with, if it does not go with both.
    @ivar section: the keys that are below it, if there are any.
    """

    name: str
    field: str
    check: Check
    is_required: bool
    default: str
    doc: str
    only: str | None
    section: type[Section] | None


def key(
    default: Any,
    check: Check,
    doc: str,
    *,
    name: str | None = None,
    value: Any = None,
    shown: str | None = None,
    only: str | None = None,
    compare: bool = True,
    section: type[Section] | None = None,
) -> Any:
    """
    Declare a key that need not be there.

    @param default: as it could stand in the file; L{None} if nothing there means the same.
    @param check: see L{checks}.
    @param doc: what the key means, in one line of Markdown.
    @param name: as it stands in the file, if that is not the name of the field.
    @param value: the field's default, if C{check} cannot make it of C{default} alone.
    @param shown: the default as the reference has it, if that is not how the file does.
    @param only: the C{network_type} that the key goes with, if it is one alone.
    @param compare: whether configurations that differ in it are not equal.
    @param section: the keys of each item, if the value is a list of those.
    """
    if value is None and default is not None:
        value = check(name or "", default)
    metadata = _metadata(
        check, doc, shown or _markdown(default), name=name, only=only, section=section
    )
    return field(default=value, compare=compare, metadata=metadata)


def required(check: Check, doc: str, *, name: str | None = None) -> Any:
    """
    Declare a key that must be there if its section is.

    @param name: as it stands in the file, if that is not the name of the field.
    """
    return field(metadata=_metadata(check, doc, "required", name=name))


def section(
    kind: type[Section], doc: str, *, check: Check | None = None, only: str | None = None
) -> Any:
    """
    Declare a key with keys below it.

    @param kind: the dataclass of these.
    @param check: in place of L{Section.parse_section}, for a section that is L{None}
        unless it is there.
    """
    default = kind() if check is None else None
    metadata = _metadata(
        check or kind.parse_section, doc, "none" if check else "", only=only, section=kind
    )
    return field(default=default, metadata=metadata)


def _metadata(
    check: Check,
    doc: str,
    default: str,
    *,
    name: str | None = None,
    only: str | None = None,
    section: type[Section] | None = None,
) -> dict[str, Any]:
    return {
        "name": name,
        "check": check,
        "default": default,
        "doc": doc,
        "only": only,
        "section": section,
    }


def _markdown(default: Any) -> str:
    if default in (None, []):
        return "none"
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


@dataclass(frozen=True, kw_only=True)
class Section:
    """Keys that stand together: the fields of a subclass."""

    @classmethod
    def keys(cls) -> dict[str, Key]:
        """Return all keys by name, in the order in which they are declared."""
        keys = {}
        for item in fields(cls):
            metadata = dict(item.metadata)
            name = metadata.pop("name") or item.name
            is_required = item.default is MISSING
            keys[name] = Key(
                name=name, field=item.name, is_required=is_required, **metadata
            )
        return keys

    @classmethod
    def read(cls, prefix: str, raw: Mapping[str, Any]) -> dict[str, Any]:
        """
        Check what stands in the file.

        @param prefix: the name of the section and a dot, or nothing.
        @return: the values, by field, of the keys that are there or must be.
        @raise ConfigError: naming the key, the value and what is accepted.
        """
        keys = cls.keys()
        check_keys(prefix, raw, keys)
        return {
            key.field: key.check(prefix + name, raw.get(name))
            for name, key in keys.items()
            if name in raw or key.is_required
        }

    @classmethod
    def parse_section(cls, name: str, raw: Any) -> Self:
        """
        Check a section; one with nothing in it has all defaults.

        @param name: of the section.
        @param raw: what YAML gives for it.
        @raise ConfigError: naming the key, the value and what is accepted.
        """
        if raw is None:
            raw = {}
        if not isinstance(raw, dict):
            raise ConfigError(f"{name}: {quoted(raw)} must be keys and values")
        return cls(**cls.read(f"{name}.", raw))
