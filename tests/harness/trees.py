"""Makes files and links in a tree, with the directories that they are in."""

from __future__ import annotations

from pathlib import Path


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
