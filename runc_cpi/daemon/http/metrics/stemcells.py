"""What stemcells take of the host: each is measured once, for none changes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from runc_cpi.daemon.base.tasks import TaskGroup
from runc_cpi.daemon.http.metrics.catalogue import STEMCELL, STEMCELLS
from runc_cpi.daemon.http.metrics.samples import Sample
from runc_cpi.daemon.stemcells.stemcells import Stemcells
from runc_cpi.daemon.storage.interfaces import ITrees
from runc_cpi.errors import CPIError


class StemcellSizes:
    """
    The sizes of stemcells, which a program finds out beside all else.

    Stemcells of one image share one root file system, which counts for each of them.

    @param tasks: the measuring is one of these.
    """

    def __init__(self, stemcells: Stemcells, trees: ITrees, tasks: TaskGroup) -> None:
        self._stemcells, self._trees, self._tasks = stemcells, trees, tasks
        # By the place of the root file system.
        self._sizes: dict[Path, int] = {}
        self._is_measuring = False

    def read(self) -> Iterator[Sample]:
        """Return what is known, and find out the rest for the next time."""
        stemcells = self._stemcells.all()
        yield Sample(STEMCELLS, (), len(stemcells))
        places = {stemcell.rootfs for stemcell in stemcells}
        self._sizes = {at: size for at, size in self._sizes.items() if at in places}
        for stemcell in stemcells:
            if stemcell.rootfs in self._sizes:
                yield Sample(STEMCELL, (stemcell.cid,), self._sizes[stemcell.rootfs])
        if places - self._sizes.keys() and not self._is_measuring:
            self._is_measuring = True
            work = self._measure()
            self._tasks.start("measuring stemcells", work, awaited=False)

    async def _measure(self) -> None:
        try:
            for stemcell in self._stemcells.all():
                if stemcell.rootfs not in self._sizes:
                    with suppress(CPIError):  # it may be deleted meanwhile
                        size = await self._trees.size(stemcell.rootfs)
                        self._sizes[stemcell.rootfs] = size
        finally:
            self._is_measuring = False
