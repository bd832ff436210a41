"""The two inits: which boots a VM, and how each halts it."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from runc_cpi.daemon.stemcells.features import RUNIT_INIT, SYSTEMD_INIT
from runc_cpi.daemon.vms.inits import INITS


@pytest.mark.parametrize(
    ("name", "program"), [("runit", RUNIT_INIT), ("systemd", SYSTEMD_INIT)]
)
def test_the_program_is_what_a_stemcell_is_searched_for(name: str, program: str) -> None:
    """An init is started by the program that a stemcell is searched for."""
    assert INITS[name].argv == [str(Path("/", program))]


def test_each_can_halt_its_vm() -> None:
    """Each init halts its VM by a signal or by a command, and not by both."""
    for init in INITS.values():
        assert (init.halt_signal is None) != (not init.halt_command)
    assert INITS["systemd"].halt_signal == signal.SIGRTMIN + 3
