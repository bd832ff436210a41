"""Makes files and links in a tree, with the directories that they are in; removes trees."""

from __future__ import annotations

import subprocess
from pathlib import Path

from runc_cpi.daemon.host.files.flags import clear_tree


def write(root: Path, name: str, content: str | bytes) -> Path:
    """Write a file with its directories."""
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def link(root: Path, name: str, target: str) -> None:
    """Make a symbolic link with its directories."""
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(target)


def remove(root: Path) -> None:
    """
    Remove a tree, however deep it is and whatever flags its files have.

    @raise CalledProcessError: if something of it stays, such as what is mounted there.
    """
    command = ["rm", "-rf", "--one-file-system", str(root)]
    if subprocess.run(command, check=False, stderr=subprocess.DEVNULL).returncode != 0:
        clear_tree(root)
        subprocess.run(command, check=True)
