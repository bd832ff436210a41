"""What stemcells take of the host: each is measured once, for none changes."""

from __future__ import annotations

from collections.abc import Iterator

from runc_cpi.daemon.base.tasks import TaskGroup
from runc_cpi.daemon.http.metrics.catalogue import STEMCELL, STEMCELLS
from runc_cpi.daemon.http.metrics.samples import Sample
from runc_cpi.daemon.stemcells.stemcells import Stemcells
from runc_cpi.daemon.storage.interfaces import ITrees
from runc_cpi.errors import CPIError


class StemcellSizes:
    """
    The sizes of stemcells, which a program finds out beside all else.

    Light stemcells of one image share one root file system, which counts for each of them.

    @param tasks: the measuring is one of these.
    """

    def __init__(self, stemcells: Stemcells, trees: ITrees, tasks: TaskGroup) -> None:
        self._stemcells, self._trees, self._tasks = stemcells, trees, tasks
        self._sizes: dict[str, int] = {}
        self._is_measuring = False

    def read(self) -> Iterator[Sample]:
        """Return what is known, and find out the rest for the next time."""
        stemcells = self._stemcells.all()
        yield Sample(STEMCELLS, (), len(stemcells))
        cids = {stemcell.cid for stemcell in stemcells}
        self._sizes = {cid: size for cid, size in self._sizes.items() if cid in cids}
        for cid, size in self._sizes.items():
            yield Sample(STEMCELL, (cid,), size)
        if cids - self._sizes.keys() and not self._is_measuring:
            self._is_measuring = True
            work = self._measure()
            self._tasks.start("measuring stemcells", work, awaited=False)

    async def _measure(self) -> None:
        try:
            for stemcell in self._stemcells.all():
                if stemcell.cid not in self._sizes:
                    try:
                        size = await self._trees.size(stemcell.rootfs)
                    except CPIError:
                        continue  # it is being deleted
                    self._sizes[stemcell.cid] = size
        finally:
            self._is_measuring = False
