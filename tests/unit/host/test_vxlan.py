"""Names of interfaces to overlays."""

from __future__ import annotations

from runc_cpi.daemon.host.network.vxlan import interface_of


def test_names_of_interfaces() -> None:
    """Each daemon has a name of its own, which the kernel takes."""
    names = [interface_of(daemon) for daemon in ("a", "b", "a")]
    assert names[0] == names[2] != names[1]
    assert max(map(len, names)) <= 15
