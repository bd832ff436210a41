"""Calls with nothing to do: what they take is the start of a process."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tests.benchmarks.calls.rounds import Calls, Works
from tests.benchmarks.contenders import Contender
from tests.benchmarks.measuring import command, timed
from tests.benchmarks.subjects import HAS_VM, INFO, PYTHON


class Starts(Calls):
    """C{info}, and C{has_vm} of a VM that is there."""

    names = (INFO, HAS_VM)

    @contextmanager
    def bare(self) -> Iterator[Works]:
        """Return the start of an interpreter that does nothing."""
        argv = [sys.executable, "-I", "-S", "-c", "pass"]
        yield [(PYTHON, lambda: timed(lambda: command(argv)))]

    @contextmanager
    def calls(self, contender: Contender) -> Iterator[Works]:
        """Return the calls of a contender, with a VM."""
        vm_cid = contender.create_vm()
        try:
            yield [
                (INFO, lambda: timed(lambda: contender.call("info"))),
                (HAS_VM, lambda: timed(lambda: contender.call("has_vm", vm_cid))),
            ]
        finally:
            contender.tidy("delete_vm", vm_cid)
