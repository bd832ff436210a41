"""What boots a VM, and what cannot boot it on this host."""

from __future__ import annotations

from pathlib import Path

import pytest

from runc_cpi.daemon.stemcells.features import Features
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
