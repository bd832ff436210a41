"""What an OCI runtime keeps of its containers, below its C{--root}."""

from __future__ import annotations

import json
from pathlib import Path

# The file in a container's directory that tells of it: runc's, and crun's.
RUNC_FILE = "state.json"
FILES = (RUNC_FILE, "status")


def containers(root: Path) -> set[str]:
    """
    Name the containers that the runtime has a directory of.

    What crun keeps there for itself, such as C{.empty-directory}, begins with a dot.
    """
    return {
        path.name
        for path in root.iterdir()
        if path.is_dir() and not path.name.startswith(".")
    }


def is_sound(directory: Path) -> bool:
    """Say whether the runtime can read what it keeps of a container."""
    for name in FILES:
        try:
            json.loads((directory / name).read_bytes())
        except (OSError, ValueError):
            continue
        return True
    return False
