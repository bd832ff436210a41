"""The steps of calls, as the daemon logs them."""

from __future__ import annotations

import json
from typing import Any

from tests.harness.daemon import Daemon

# What a daemon needs in its configuration for this.
LOGGED = {"log_format": "json", "log_spans": True}


def spans_of(daemon: Daemon, method: str) -> list[dict[str, Any]]:
    """Return the lines about the steps of all calls of a method."""
    lines = [json.loads(line) for line in daemon.log.splitlines()]
    return [line for line in lines if "spans" in line and line["method"] == method]


def names_in(line: dict[str, Any]) -> list[str]:
    """Return the names of a call's steps, in the order in which they began."""
    return [span["name"] for span in line["spans"]]
