"""The two inits: which boots a VM, and how each halts it."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from runc_cpi.daemon.stemcells.features import RUNIT_INIT, SYSTEMD_INIT, Features
from runc_cpi.daemon.stemcells.stemcell import Stemcell
from runc_cpi.daemon.vms.inits import INITS, init_of
from runc_cpi.errors import InvalidArgument


def stemcell(init: str | None, systemd: int | None) -> Stemcell:
    """Return a stemcell with such inits."""
    return Stemcell(
        cid="stemcell-1",
        path=Path("/s"),
        rootfs=Path("/s/rootfs"),
        image=None,
        features=Features(init=init, sync_time=False, resolved=False, systemd=systemd),
        cloud_properties={},
        created_at="",
    )


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


@pytest.mark.parametrize("asked", [None, "systemd"])
def test_a_systemd_without_cgroup_v1(asked: str | None) -> None:
    """It is refused on a host with cgroup v1 alone, and the error says what to do."""
    new = stemcell("systemd", 258)
    assert init_of(new, asked, legacy_cgroups=False) is INITS["systemd"]
    with pytest.raises(InvalidArgument, match="stemcell-1 has systemd 258, .*unified_cgr"):
        init_of(new, asked, legacy_cgroups=True)
    assert init_of(new, "runit", legacy_cgroups=True) is INITS["runit"]


@pytest.mark.parametrize("version", [None, 252, 257])
def test_a_systemd_with_cgroup_v1(version: int | None) -> None:
    """Older ones boot everywhere, and so may one whose version is not known."""
    old = stemcell("systemd", version)
    assert init_of(old, None, legacy_cgroups=True) is INITS["systemd"]


def test_no_init() -> None:
    """A stemcell without an init is refused unless one is asked for."""
    bare = stemcell(None, None)
    with pytest.raises(InvalidArgument, match="neither runit nor systemd"):
        init_of(bare, None, legacy_cgroups=False)
    assert init_of(bare, "runit", legacy_cgroups=False) is INITS["runit"]
