"""What storage asks of the host."""

from __future__ import annotations

from collections.abc import Awaitable
from pathlib import Path

from zope.interface import Interface


class ITrees(Interface):
    """Acts on whole trees of files."""

    def sync(directory: int) -> Awaitable[None]:
        """
        Wait until the file system of a directory is on its disk.

        @param directory: a descriptor of it, which may be closed meanwhile.
        @raise CloudError: if the file system cannot be written, or could not since the
            directory was opened; of each failure that is told once.
        """

    def size(path: Path) -> Awaitable[int]:
        """
        Return how many bytes a tree takes of its file system.

        @raise CloudError: if it cannot be read.
        """

    def remove(path: Path, *, idle: bool = False) -> Awaitable[None]:
        """
        Remove a tree; it is no error if there is none.

        File systems that are mounted in the tree are not entered.

        @param idle: whether all else that uses the disk and the processors goes first.
        @raise CloudError: if something of the tree stays.
        """
