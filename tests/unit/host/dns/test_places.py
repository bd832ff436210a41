"""Bounds of what clients have under way."""

from __future__ import annotations

from functools import partial

from runc_cpi.daemon.host.dns.places import Places


def test_places() -> None:
    """Neither one client nor all together have more places than there are."""
    dropped: list[int] = []
    places = Places(3, 2)
    drops = [partial(dropped.append, number) for number in range(8)]
    assert [places.take("a", drop) for drop in drops[:3]] == [True, True, False]
    assert places.take("b", drops[3])
    # One who has as many as it would leave to another drops nothing.
    assert not places.take("b", drops[4])
    places.free("a", drops[0])
    assert places.take("b", drops[4])
    assert dropped == []


def test_a_place_of_whoever_has_most() -> None:
    """If all places are taken, the oldest of whoever has the most is dropped."""
    dropped: list[int] = []
    places = Places(4, 3)
    drops = [partial(dropped.append, number) for number in range(8)]
    for client, drop in zip("abaa", drops, strict=False):
        assert places.take(client, drop)
    assert places.take("c", drops[4])
    assert dropped == [0]
    # What was dropped is free already.
    places.free("a", drops[0])
    assert not places.take("b", drops[5])
    assert places.take("d", drops[6])
    assert dropped == [0, 2]
    assert not places.take("e", drops[7])
