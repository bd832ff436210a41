"""The life of one VM."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.benchmarks.calls.rounds import Bench, Calls, Works
from tests.benchmarks.contenders import Contender
from tests.benchmarks.measuring import timed
from tests.benchmarks.raw_runc import RawRunc
from tests.benchmarks.subjects import CREATE_VM, DELETE_VM, END, REBOOT_VM, RESTART, RUN


class VMs(Calls):
    """C{create_vm} and C{delete_vm}, with another VM beside."""

    names = (CREATE_VM, DELETE_VM)

    def __init__(self, bench: Bench) -> None:
        super().__init__(bench)
        self._runc = RawRunc(bench.ours, bench.place)

    def bare(self) -> Works:
        """Return a container that is made and ended."""
        bundles: list[Path] = []

        def run() -> float:
            bundles.append(self._runc.bundle())
            return timed(lambda: self._runc.run(bundles[0]))

        def end() -> float:
            bundle = bundles.pop()
            took = timed(lambda: self._runc.end(bundle))
            self._runc.remove(bundle)
            return took

        yield RUN, run
        yield END, end

    @contextmanager
    def calls(self, contender: Contender) -> Iterator[Works]:
        """Return the calls of a contender."""
        beside, made = contender.create_vm(), list[str]()

        def create() -> float:
            vm = contender.vm()
            return timed(lambda: made.append(contender.call("create_vm", *vm)[0]))

        def delete() -> float:
            vm_cid = made.pop()
            return timed(lambda: contender.call("delete_vm", vm_cid))

        try:
            yield [(CREATE_VM, create), (DELETE_VM, delete)]
        finally:
            for vm_cid in (beside, *made):
                contender.tidy("delete_vm", vm_cid)


class Reboots(Calls):
    """C{reboot_vm}, whose VM is asked to halt."""

    names = (REBOOT_VM,)

    def __init__(self, bench: Bench) -> None:
        super().__init__(bench)
        self._runc = RawRunc(bench.ours, bench.place)

    @property
    def rounds(self) -> int:
        """How many rounds there are: a VM takes its time to halt."""
        return self.bench.few

    def bare(self) -> Works:
        """Return a container that is ended and made again."""

        def restart() -> float:
            bundle = self._runc.bundle()
            self._runc.run(bundle)
            took = timed(lambda: self._runc.restart(bundle))
            self._runc.end(bundle)
            self._runc.remove(bundle)
            return took

        yield RESTART, restart

    @contextmanager
    def calls(self, contender: Contender) -> Iterator[Works]:
        """Return the call of a contender, with a VM."""
        vm_cid = contender.create_vm()
        try:
            yield [(REBOOT_VM, lambda: timed(lambda: contender.call("reboot_vm", vm_cid)))]
        finally:
            contender.tidy("delete_vm", vm_cid)
