"""Bounds of what clients have under way."""

from __future__ import annotations

from runc_cpi.daemon.host.dns.places import Places


def test_places() -> None:
    """Neither one client nor all together have more places than there are."""
    places = Places(3, 2)
    assert [places.take("a") for _ in range(3)] == [True, True, False]
    assert [places.take("b") for _ in range(2)] == [True, False]
    places.free("a")
    assert places.take("b")
    assert not places.take("c")
