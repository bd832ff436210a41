"""The life of a stemcell."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import count
from pathlib import Path

from runc_cpi.daemon.host.images.formats import decompressor_for
from runc_cpi.daemon.host.images.pipeline import TAR
from runc_cpi.daemon.host.images.reading import HEADER_SIZE
from tests.benchmarks.calls.rounds import Bench, Calls, Works
from tests.benchmarks.contenders import Caller, Contender
from tests.benchmarks.encryption import encrypted
from tests.benchmarks.measuring import command, timed
from tests.benchmarks.subjects import (
    AGAIN_BY_TCP,
    CREATE_AGAIN,
    CREATE_BY_TCP,
    CREATE_BY_TLS,
    CREATE_STEMCELL,
    DELETE_STEMCELL,
    HASH,
    REMOVE_TREE,
    UNPACK,
)
from tests.harness import images


def unpack(image: Path, target: Path) -> None:
    """
    Unpack an image by bare tools, with the decompressor that the daemon chooses.

    @raise CalledProcessError: if one of them fails.
    """
    with image.open("rb") as source:
        decompressor = decompressor_for(os.pread(source.fileno(), HEADER_SIZE, 0))
        assert decompressor is not None
        head = subprocess.Popen(decompressor, stdin=source, stdout=subprocess.PIPE)
    argv = [*TAR, f"--directory={target}"]
    tar = subprocess.Popen(argv, stdin=head.stdout, stdout=subprocess.DEVNULL)
    # With a second reader the decompressor would wait for ever once tar has failed.
    assert head.stdout is not None
    head.stdout.close()
    for process in (tar, head):
        process.wait()
    for process in (tar, head):
        if process.returncode != 0:
            raise subprocess.CalledProcessError(process.returncode, process.args)
    command(["sync", "--file-system", str(target)])


class Stemcells(Calls):
    """
    In each round all unpack the same new image, and make a stemcell of it once more.

    Nothing is removed before the end: ext4 is slow to make files where others were removed
    a short time ago.
    """

    names = (
        *(CREATE_STEMCELL, CREATE_BY_TCP, CREATE_BY_TLS),
        *(CREATE_AGAIN, AGAIN_BY_TCP),
    )

    def __init__(self, bench: Bench) -> None:
        super().__init__(bench)
        self._numbers, self._image = count(1), bench.place / "new"

    @property
    def rounds(self) -> int:
        """How many rounds there are."""
        return self.bench.few

    def _sync(self) -> None:
        """Have nobody wait for what others have written."""
        command(["sync", "--file-system", str(self.bench.place)])

    @contextmanager
    def bare(self) -> Iterator[Works]:
        """Return the same by the decompressor that the daemon chooses, and by tar."""

        def make() -> float:
            number = next(self._numbers)
            images.another(self.bench.image, self._image, number)
            target = self.bench.place / f"unpacked-{number}"
            target.mkdir()
            self._sync()
            return timed(lambda: unpack(self._image, target))

        def read() -> float:
            return timed(lambda: command(["sha256sum", str(self._image)]))

        yield [(UNPACK, make), (HASH, read)]

    @contextmanager
    def calls(self, contender: Contender) -> Iterator[Works]:
        """Return the calls of a contender; those of this project in each way there is."""
        with ExitStack() as stack:

            def create(caller: Caller) -> float:
                made = list[str]()
                self._sync()
                took = timed(lambda: made.append(caller.create_stemcell(self._image)))
                stack.callback(caller.tidy, "delete_stemcell", made[0])
                return took

            passed = partial(create, contender)
            if contender is not self.bench.ours:
                yield [(CREATE_STEMCELL, passed), (CREATE_AGAIN, passed)]
                return
            by_tcp = self.bench.new_daemon(network_type="tcp").start()
            by_tls = encrypted(self.bench.new_daemon)
            tcp = partial(create, Caller(contender.name, by_tcp.cpi))
            tls = partial(create, Caller(contender.name, by_tls.cpi))
            yield [
                *((CREATE_STEMCELL, passed), (CREATE_BY_TCP, tcp), (CREATE_BY_TLS, tls)),
                *((CREATE_AGAIN, passed), (AGAIN_BY_TCP, tcp)),
            ]


class StemcellRemovals(Calls):
    """The only stemcell of an image is deleted in each round."""

    names = (DELETE_STEMCELL,)

    @property
    def rounds(self) -> int:
        """How many rounds there are."""
        return self.bench.few

    @contextmanager
    def bare(self) -> Iterator[Works]:
        """Return the removal of the image, unpacked."""
        target = self.bench.place / "removed"

        def remove() -> float:
            target.mkdir()
            unpack(self.bench.image, target)
            return timed(lambda: command(["rm", "-rf", str(target)]))

        yield [(REMOVE_TREE, remove)]

    @contextmanager
    def calls(self, contender: Contender) -> Iterator[Works]:
        """Return the call of a contender."""
        made = list[str]()

        def delete() -> float:
            made.append(contender.create_stemcell(self.bench.image))
            took = timed(lambda: contender.call("delete_stemcell", made[0]))
            made.clear()
            return took

        try:
            yield [(DELETE_STEMCELL, delete)]
        finally:
            for cid in made:
                contender.tidy("delete_stemcell", cid)
