"""Many VMs at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from subprocess import Popen
from typing import Any

from tests.benchmarks.calls.rounds import Calls, Works
from tests.benchmarks.contenders import Contender, Refused
from tests.benchmarks.measuring import timed
from tests.benchmarks.raw_runc import raw_runc
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

    @property
    def rounds(self) -> int:
        """How many rounds there are."""
        return self.bench.few

    @contextmanager
    def bare(self) -> Iterator[Works]:
        """Return as many containers, made and ended at once."""
        with raw_runc(self.bench.ours, self.bench.place, CROWD) as runc:
            yield [(RUN_CROWD, lambda: runc.make(CROWD)), (END_CROWD, runc.end)]

    @contextmanager
    def calls(self, contender: Contender) -> Iterator[Works]:
        """Return the calls of a contender."""
        made: list[str] = []

        def create() -> float:
            wanted = [contender.vm() for _ in range(CROWD)]

            def all_of_them() -> None:
                begun = [contender.start("create_vm", *vm) for vm in wanted]
                ended = finished(contender, begun)
                made.extend(each[0] for each in ended if not isinstance(each, Refused))
                accept(ended)

            return timed(all_of_them)

        def delete() -> float:
            def all_of_them() -> None:
                begun = [contender.start("delete_vm", vm_cid) for vm_cid in made]
                ended = zip(list(made), finished(contender, begun), strict=True)
                left = {cid: each for cid, each in ended if isinstance(each, Refused)}
                made[:] = left
                accept(left.values())

            return timed(all_of_them)

        try:
            yield [(CREATE_CROWD, create), (DELETE_CROWD, delete)]
        finally:
            for vm_cid in made:
                contender.tidy("delete_vm", vm_cid)


def finished(contender: Contender, begun: Iterable[Popen[str]]) -> list[Any]:
    """Wait for calls; return the result of each, or the L{Refused} that it ended with."""
    ended: list[Any] = []
    for process in begun:
        try:
            ended.append(contender.finish(process))
        except Refused as error:
            ended.append(error)
    return ended


def accept(ended: Iterable[Any]) -> None:
    """
    Go through what L{finished} returns.

    @raise Refused: the first there is.
    """
    for each in ended:
        if isinstance(each, Refused):
            raise each
