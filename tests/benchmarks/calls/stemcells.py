"""The life of a stemcell."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from runc_cpi.daemon.host.images.formats import decompressor_for
from runc_cpi.daemon.host.images.pipeline import TAR
from runc_cpi.daemon.host.images.reading import HEADER_SIZE
from tests.benchmarks.calls.rounds import Calls, Works
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


class Stemcells(Calls):
    """An image is unpacked, made a stemcell of once more, and deleted in each round."""

    names = (CREATE_STEMCELL, CREATE_AGAIN, DELETE_STEMCELL)

    @property
    def rounds(self) -> int:
        """How many rounds there are."""
        return self.bench.few

    def _sync(self) -> None:
        """Have nobody wait for what others have written."""
        command(["sync", "--file-system", str(self.bench.place)])

    def bare(self) -> Works:
        """Return the same by the decompressor that the daemon chooses, and by tar."""
        image, target = self.bench.image, self.bench.place / "unpacked"
        with image.open("rb") as file:
            decompressor = decompressor_for(file.read(HEADER_SIZE))
        assert decompressor is not None, f"{image} is no image"

        def unpack() -> None:
            with image.open("rb") as source:
                head = subprocess.Popen(decompressor, stdin=source, stdout=subprocess.PIPE)
                tar = [*TAR, f"--directory={target}"]
                subprocess.run(
                    tar, stdin=head.stdout, stdout=subprocess.DEVNULL, check=True
                )
                assert head.wait() == 0
            self._sync()

        def make() -> float:
            target.mkdir()
            self._sync()
            return timed(unpack)

        yield UNPACK, make
        yield HASH, lambda: timed(lambda: command(["sha256sum", str(image)]))
        yield REMOVE_TREE, lambda: timed(lambda: command(["rm", "-rf", str(target)]))

    @contextmanager
    def calls(self, contender: Contender) -> Iterator[Works]:
        """Return the calls of a contender."""
        image, made = self.bench.image, list[str]()

        def create() -> float:
            self._sync()
            return timed(lambda: made.append(contender.create_stemcell(image)))

        def delete() -> float:
            # With the last one the image goes that was unpacked.
            last, *others = made
            made.clear()
            for cid in others:
                contender.call("delete_stemcell", cid)
            return timed(lambda: contender.call("delete_stemcell", last))

        try:
            yield [
                (CREATE_STEMCELL, create),
                (CREATE_AGAIN, create),
                (DELETE_STEMCELL, delete),
            ]
        finally:
            for cid in made:
                contender.tidy("delete_stemcell", cid)
