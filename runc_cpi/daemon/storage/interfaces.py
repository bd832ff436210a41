"""What storage asks of the host."""

from __future__ import annotations

from collections.abc import Awaitable
from pathlib import Path

from zope.interface import Interface


class ITrees(Interface):
    """Acts on whole trees of files."""

    def sync(path: Path) -> Awaitable[None]:
        """
        Wait until the file system of C{path} is on its disk.

        @raise CloudError: if the file system cannot be written.
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
