"""Capabilities that the daemon may pass on to VMs."""

from __future__ import annotations

from pathlib import Path

import pytest

from runc_cpi.daemon.host import capabilities

STATUS = """\
Name:\tpython3
CapInh:\t0000000000000000
CapPrm:\t{permitted}
CapEff:\t0000000000000000
CapBnd:\t{bounding}
CapAmb:\t0000000000000000
"""
ALL = "000001ffffffffff"
WITHOUT_SYS_RESOURCE = "000001fffeffffff"


@pytest.mark.parametrize(
    ("permitted", "bounding", "names"),
    [
        ("0000000000000000", ALL, set()),
        (ALL, "0000000000000000", set()),
        ("0000000000000001", ALL, {"CAP_CHOWN"}),
        ("0000000000200001", "0000000000200002", {"CAP_SYS_ADMIN"}),
        ("0000010000000000", ALL, {"CAP_CHECKPOINT_RESTORE"}),
    ],
)
def test_capabilities(permitted: str, bounding: str, names: set[str]) -> None:
    """A capability can be passed on if it is permitted and in the bounding set."""
    status = STATUS.format(permitted=permitted, bounding=bounding)
    assert capabilities.own_capabilities(status) == names


def test_a_bounding_set_with_a_hole() -> None:
    """A capability that the bounding set lacks, as in a container, is not granted."""
    status = STATUS.format(permitted=ALL, bounding=WITHOUT_SYS_RESOURCE)
    missing = set(capabilities.CAPABILITIES) - capabilities.own_capabilities(status)
    assert missing == {"CAP_SYS_RESOURCE"}


def test_capabilities_of_a_newer_kernel() -> None:
    """Capabilities that have no name here are not granted."""
    everything = "ffffffffffffffff"
    status = STATUS.format(permitted=everything, bounding=everything)
    assert capabilities.own_capabilities(status) == set(capabilities.CAPABILITIES)


def test_capabilities_have_their_numbers() -> None:
    """The capabilities are listed in the order of linux/capability.h."""
    places = {"CAP_CHOWN": 0, "CAP_NET_ADMIN": 12, "CAP_SYS_ADMIN": 21, "CAP_SETFCAP": 31}
    assert {name: capabilities.CAPABILITIES.index(name) for name in places} == places
    assert len(capabilities.CAPABILITIES) == 41


def test_grantable_leaves_out_what_is_dropped() -> None:
    """VMs are granted what this process has, less what is dropped, in order."""
    own = capabilities.own_capabilities(Path("/proc/self/status").read_text("ascii"))
    granted = capabilities.grantable(frozenset({"CAP_SYS_TIME"}))
    assert granted == [
        name for name in capabilities.CAPABILITIES if name in own - {"CAP_SYS_TIME"}
    ]
