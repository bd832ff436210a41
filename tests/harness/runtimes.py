"""The OCI runtimes on the search path, and the layouts of cgroups that they work with."""

from __future__ import annotations

import os
import re
import shutil

from tests.harness.layouts import CGROUPS, HOST, IN_V1, Layout

NAMES = re.compile(r"runc-[0-9].*|crun.*")


def others() -> list[str]:
    """Name all but runc, which all tests use: crun, and versions of either."""
    names = {
        name
        for directory in os.get_exec_path()
        if os.path.isdir(directory)
        for name in os.listdir(directory)
        if NAMES.fullmatch(name)
    }
    return sorted(name for name in names if shutil.which(name))


def refuses_this_host(name: str) -> bool:
    """Say whether a runtime refuses the layout of cgroups that this host has."""
    return name.startswith("crun") and (CGROUPS / "unified").is_dir()


def layout(name: str) -> Layout:
    """Return a layout of cgroups that a runtime works with."""
    return IN_V1 if refuses_this_host(name) else HOST
