"""What storage asks of the host."""

from __future__ import annotations

from collections.abc import Awaitable
from pathlib import Path

from zope.interface import Interface


class ITrees(Interface):
    """Acts on whole trees of files."""

    def sync(path: Path) -> Awaitable[None]:
        """Wait until the file system of C{path} is on its disk."""

    def remove(path: Path) -> Awaitable[None]:
        """Remove a tree; one that is gone is no error."""
