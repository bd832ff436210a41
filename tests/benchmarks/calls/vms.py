"""The life of one VM."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tests.benchmarks.calls.rounds import Calls, Works
from tests.benchmarks.contenders import Contender
from tests.benchmarks.measuring import timed
from tests.benchmarks.raw_runc import raw_runc
from tests.benchmarks.subjects import CREATE_VM, DELETE_VM, END, REBOOT_VM, RESTART, RUN


class VMs(Calls):
    """C{create_vm} and C{delete_vm}, with another VM beside."""

    names = (CREATE_VM, DELETE_VM)

    @contextmanager
    def bare(self) -> Iterator[Works]:
        """Return a container that is made and ended."""
        with raw_runc(self.bench.ours, self.bench.place) as runc:
            yield [(RUN, runc.make), (END, runc.end)]

    @contextmanager
    def calls(self, contender: Contender) -> Iterator[Works]:
        """Return the calls of a contender."""
        beside, made = contender.create_vm(), list[str]()

        def create() -> float:
            vm = contender.vm()
            return timed(lambda: made.append(contender.call("create_vm", *vm)[0]))

        def delete() -> float:
            took = timed(lambda: contender.call("delete_vm", made[0]))
            made.clear()
            return took

        try:
            yield [(CREATE_VM, create), (DELETE_VM, delete)]
        finally:
            for vm_cid in (beside, *made):
                contender.tidy("delete_vm", vm_cid)


class Reboots(Calls):
    """C{reboot_vm}, whose VM is asked to halt."""

    names = (REBOOT_VM,)

    @property
    def rounds(self) -> int:
        """How many rounds there are: a VM takes its time to halt."""
        return self.bench.few

    @contextmanager
    def bare(self) -> Iterator[Works]:
        """Return a container that is ended and made again."""
        with raw_runc(self.bench.ours, self.bench.place) as runc:

            def restart() -> float:
                runc.make()
                took = runc.restart()
                runc.end()
                return took

            yield [(RESTART, restart)]

    @contextmanager
    def calls(self, contender: Contender) -> Iterator[Works]:
        """Return the call of a contender, with a VM."""
        vm_cid = contender.create_vm()
        try:
            yield [(REBOOT_VM, lambda: timed(lambda: contender.call("reboot_vm", vm_cid)))]
        finally:
            contender.tidy("delete_vm", vm_cid)
