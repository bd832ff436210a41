"""How trees of files are removed: L{ITrees}."""

from __future__ import annotations

import os
from collections.abc import Awaitable

from twisted.internet.defer import Deferred

from runc_cpi.daemon.storage.interfaces import ITrees
from tests.behaviour.case import HostCase


class Behaviour(HostCase):
    """Trees, as they are removed and synced."""

    interfaces = (ITrees,)

    async def test_a_tree_is_removed(self) -> None:
        """All of a tree goes, and to remove it once more is no error."""
        tree = self.directory / "tree"
        (tree / "a/b").mkdir(parents=True)
        (tree / "a/file").write_text("x")
        os.symlink("/nonexistent", tree / "a/link")
        await self.trees.remove(tree)
        self.assertFalse(tree.exists())
        await self.trees.remove(tree)

    async def test_a_tree_is_measured(self) -> None:
        """What is in a tree counts, as far as it takes room."""
        tree = self.directory / "measured"
        (tree / "a").mkdir(parents=True)
        (tree / "a/file").write_bytes(b"x" * 1_000_000)
        os.truncate(tree / "a/file", 1 << 30)
        size = await self.trees.size(tree)
        self.assertTrue(1_000_000 <= size < 1_100_000, size)

    async def test_a_tree_is_synced(self) -> None:
        """C{sync} leaves what is there."""
        (self.directory / "file").write_text("x")
        directory = os.open(self.directory, os.O_RDONLY)
        syncing = Deferred.fromCoroutine(_awaited(self.trees.sync(directory)))
        os.close(directory)
        await syncing
        self.assertEqual((self.directory / "file").read_text(), "x")


async def _awaited(work: Awaitable[None]) -> None:
    await work
