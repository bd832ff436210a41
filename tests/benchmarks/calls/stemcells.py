"""The life of a stemcell."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

from tests.benchmarks.calls.rounds import Bench, Calls, Works
from tests.benchmarks.contenders import Contender
from tests.benchmarks.measuring import command, timed
from tests.benchmarks.subjects import (
    CREATE_AGAIN,
    CREATE_STEMCELL,
    DELETE_STEMCELL,
    HASH,
    REMOVE_TREE,
    UNPACK,
)
from tests.benchmarks.unpacking import unpack
from tests.harness import images


class Stemcells(Calls):
    """
    In each round all unpack the same new image, and make a stemcell of it once more.

    Nothing is removed before the end: ext4 is slow to make files where others were removed
    a short time ago.
    """

    names = (CREATE_STEMCELL, CREATE_AGAIN)

    def __init__(self, bench: Bench) -> None:
        super().__init__(bench)
        self._numbers, self._image = count(1), bench.place / "image"

    @property
    def rounds(self) -> int:
        """How many rounds there are."""
        return self.bench.few

    def _sync(self) -> None:
        """Have nobody wait for what others have written."""
        command(["sync", "--file-system", str(self.bench.place)])

    def bare(self) -> Works:
        """Return the same by the decompressor that the daemon chooses, and by tar."""

        def make() -> float:
            number = next(self._numbers)
            images.another(self.bench.image, self._image, number)
            target = self.bench.place / f"unpacked-{number}"
            target.mkdir()
            self._sync()
            return timed(lambda: unpack(self._image, target))

        yield UNPACK, make
        yield HASH, lambda: timed(lambda: command(["sha256sum", str(self._image)]))

    @contextmanager
    def calls(self, contender: Contender) -> Iterator[Works]:
        """Return the calls of a contender."""
        made = list[str]()

        def create() -> float:
            self._sync()
            return timed(lambda: made.append(contender.create_stemcell(self._image)))

        try:
            yield [(CREATE_STEMCELL, create), (CREATE_AGAIN, create)]
        finally:
            for cid in made:
                contender.tidy("delete_stemcell", cid)


class StemcellRemovals(Calls):
    """The only stemcell of an image is deleted in each round."""

    names = (DELETE_STEMCELL,)

    @property
    def rounds(self) -> int:
        """How many rounds there are."""
        return self.bench.few

    def bare(self) -> Works:
        """Return the removal of the image, unpacked."""
        target = self.bench.place / "removed"

        def remove() -> float:
            target.mkdir()
            unpack(self.bench.image, target)
            return timed(lambda: command(["rm", "-rf", str(target)]))

        yield REMOVE_TREE, remove

    @contextmanager
    def calls(self, contender: Contender) -> Iterator[Works]:
        """Return the call of a contender."""

        def delete() -> float:
            cid = contender.create_stemcell(self.bench.image)
            return timed(lambda: contender.call("delete_stemcell", cid))

        yield [(DELETE_STEMCELL, delete)]
