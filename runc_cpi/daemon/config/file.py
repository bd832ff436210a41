"""Reading the configuration from its file."""

from __future__ import annotations

from pathlib import Path

import yaml

from runc_cpi.daemon.config.checks import ConfigError
from runc_cpi.daemon.config.daemon import DaemonConfig

# PyYAML's constructors also raise what int(), date() and the like do.
NOT_YAML = (yaml.YAMLError, RecursionError, ValueError, LookupError, AttributeError)


def load(path: Path) -> DaemonConfig:
    """
    Read the configuration at C{path}.

    @raise ConfigError: naming the file, and what is wrong with it.
    """
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        raise ConfigError(f"--config: {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: not UTF-8 text") from None
    try:
        raw = yaml.safe_load(text)
    except NOT_YAML as error:
        # Its words would quote the file, which may hold a private key.
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise ConfigError(f"{path}: not YAML{where}") from None
    try:
        return DaemonConfig.parse(raw)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None
