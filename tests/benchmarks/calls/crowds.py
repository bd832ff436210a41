"""Many VMs at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from tests.benchmarks.calls.rounds import Bench, Calls, Works
from tests.benchmarks.contenders import Contender
from tests.benchmarks.measuring import timed
from tests.benchmarks.raw_runc import RawRunc
from tests.benchmarks.subjects import (
    CREATE_CROWD,
    CROWD,
    DELETE_CROWD,
    END_CROWD,
    RUN_CROWD,
)


class Crowds(Calls):
    """C{create_vm} and C{delete_vm} of many VMs at once, until the last is answered."""

    names = (CREATE_CROWD, DELETE_CROWD)

    def __init__(self, bench: Bench) -> None:
        super().__init__(bench)
        self._runc = RawRunc(bench.ours, bench.place)

    @property
    def rounds(self) -> int:
        """How many rounds there are."""
        return self.bench.few

    def bare(self) -> Works:
        """Return as many containers, made and ended at once."""
        bundles: list[Path] = []

        def run() -> float:
            bundles.extend(self._runc.bundle() for _ in range(CROWD))
            return timed(lambda: at_once(self._runc.run, bundles))

        def end() -> float:
            took = timed(lambda: at_once(self._runc.end, bundles))
            for bundle in bundles:
                self._runc.remove(bundle)
            bundles.clear()
            return took

        yield RUN_CROWD, run
        yield END_CROWD, end

    @contextmanager
    def calls(self, contender: Contender) -> Iterator[Works]:
        """Return the calls of a contender."""
        made: list[str] = []

        def create() -> float:
            wanted = [contender.vm() for _ in range(CROWD)]

            def all_of_them() -> None:
                begun = [contender.start("create_vm", *vm) for vm in wanted]
                made.extend(contender.finish(process)[0] for process in begun)

            return timed(all_of_them)

        def delete() -> float:
            vm_cids = list(made)
            made.clear()

            def all_of_them() -> None:
                begun = [contender.start("delete_vm", vm_cid) for vm_cid in vm_cids]
                for process in begun:
                    contender.finish(process)

            return timed(all_of_them)

        try:
            yield [(CREATE_CROWD, create), (DELETE_CROWD, delete)]
        finally:
            for vm_cid in made:
                contender.tidy("delete_vm", vm_cid)


def at_once(work: Callable[[Path], None], bundles: Iterable[Path]) -> None:
    """Do the same with all bundles at once."""
    with ThreadPoolExecutor(CROWD) as pool:
        list(pool.map(work, bundles))
