"""A network that may be anywhere is where nothing else is."""

from __future__ import annotations

from ipaddress import IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runc_cpi.daemon.networks.free_ranges import first_free


def networks(*texts: str) -> list[IPv4Network]:
    """Return networks by their names."""
    return [IPv4Network(text) for text in texts]


@pytest.mark.parametrize(
    ("allowed", "prefixlen", "taken", "found"),
    [
        (["10.0.0.0/8"], 24, [], "10.0.0.0/24"),
        (["10.0.0.0/8"], 24, ["10.0.0.0/16"], "10.1.0.0/24"),
        (["10.0.0.0/8"], 16, ["10.0.7.0/24", "10.1.0.0/30"], "10.2.0.0/16"),
        (["10.0.0.0/8"], 24, ["10.0.1.0/24"], "10.0.0.0/24"),
        (["10.0.0.0/8", "172.16.0.0/12"], 24, ["10.0.0.0/8"], "172.16.0.0/24"),
        (["10.0.0.0/8", "172.16.0.0/12"], 24, ["10.0.0.0/7"], "172.16.0.0/24"),
        (["10.0.0.0/24", "172.16.0.0/12"], 16, [], "172.16.0.0/16"),
        (["10.0.0.0/24"], 24, ["10.0.0.128/25"], None),
        (["10.0.0.0/24"], 25, ["10.0.0.0/26"], "10.0.0.128/25"),
        (["255.255.255.0/24"], 25, ["255.255.255.0/30", "255.255.255.252/30"], None),
        ([], 24, [], None),
    ],
)
def test_the_first_one(
    allowed: list[str], prefixlen: int, taken: list[str], found: str | None
) -> None:
    """The first free one of the first block that has one is taken."""
    result = first_free(networks(*allowed), prefixlen, networks(*taken))
    assert result == (None if found is None else IPv4Network(found))


BLOCK = IPv4Network("10.0.0.0/26")
SMALL = [*BLOCK.subnets(new_prefix=28), *BLOCK.subnets(new_prefix=30)]


@given(st.lists(st.sampled_from(SMALL)), st.integers(27, 30))
def test_none_is_overlooked(taken: list[IPv4Network], prefixlen: int) -> None:
    """It is the one that a look at each of them finds."""
    expected = next(
        (
            network
            for network in BLOCK.subnets(new_prefix=prefixlen)
            if not any(network.overlaps(other) for other in taken)
        ),
        None,
    )
    assert first_free([BLOCK], prefixlen, taken) == expected
