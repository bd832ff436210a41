"""A fake of what storage asks of the host."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from zope.interface import implementer
from zope.interface.verify import verifyObject

from runc_cpi.daemon.storage.interfaces import ITrees
from tests.fakes.script import Script


@implementer(ITrees)
class FakeTrees:
    """
    Removes trees for real, and syncs nothing.

    @ivar idle: of each removal, whether all else was to go first.
    @ivar synced: the directory that each sync was asked for by.
    """

    def __init__(self, script: Script) -> None:
        self._script = script
        self.idle: list[bool] = []
        self.synced: list[Path] = []

    def sync(self, directory: int) -> Any:
        """Note it."""
        self.synced.append(Path(os.readlink(f"/proc/self/fd/{directory}")))
        return self._script.act("sync")

    def size(self, path: Path) -> Any:
        """Return the sum of the sizes of all files."""
        blocks = sum(found.stat().st_blocks for found in path.rglob("*"))
        return self._script.act("size", blocks * 512)

    def remove(self, path: Path, *, idle: bool = False) -> Any:
        """Remove the tree, unless that is to fail."""
        self.idle.append(idle)
        removed = self._script.act("remove")
        if "remove" not in self._script.failing:
            shutil.rmtree(path, ignore_errors=True)
        return removed


verifyObject(ITrees, FakeTrees(Script()))
