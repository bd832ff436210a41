"""Paths, modes, users and groups of this host in the configuration."""

from __future__ import annotations

import grp
import pwd
import re
from pathlib import Path
from typing import Any

from runc_cpi.daemon.config.checks import ConfigError, quoted, whole_number

MAXIMUM_UID = (1 << 32) - 2  # the last one means no user
# overlayfs takes a comma or colon in a path for its own (kernel's overlayfs.rst).
PLAIN_PATH = re.compile(r"/[A-Za-z0-9._/-]*")


def directory(key: str, value: str) -> Path:
    """Check for the absolute path of a directory that overlayfs can use."""
    if not PLAIN_PATH.fullmatch(value) or ".." in value.split("/") or not value.strip("/"):
        raise ConfigError(
            f"{key}: {value!r} must be an absolute path of letters, digits and ._-/"
        )
    return Path(value)


def program(key: str, value: str) -> str:
    """Check for the name or path of a program."""
    if not value or value.startswith("-") or "\0" in value:
        raise ConfigError(f"{key}: {value!r} must be the name or path of a program")
    return value


def file_mode(key: str, value: str) -> int:
    """Check for a file mode in octal digits."""
    if not re.fullmatch(r"0?[0-7]{3}", value):
        raise ConfigError(f"{key}: {value!r} must be octal digits, as in '0660'")
    return int(value, 8)


def group(key: str, value: str) -> int:
    """Check for the name of a group of this host; return its gid."""
    try:
        return grp.getgrnam(value).gr_gid
    except KeyError:
        raise ConfigError(f"{key}: there is no group {value!r}") from None


def users(key: str, value: Any) -> frozenset[int]:
    """Check for a list of users of this host, by name or uid; return their uids."""
    if not isinstance(value, list):
        raise ConfigError(f"{key}: {quoted(value)} must be a list of names or uids")
    return frozenset(_user(key, user) for user in value)


def _user(key: str, value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        uid: int = whole_number(0, MAXIMUM_UID)(key, value)
        return uid
    if not isinstance(value, str) or "\0" in value:
        raise ConfigError(f"{key}: {quoted(value)} must be a user's name or uid")
    try:
        return pwd.getpwnam(value).pw_uid
    except KeyError:
        raise ConfigError(f"{key}: there is no user {value!r}") from None
