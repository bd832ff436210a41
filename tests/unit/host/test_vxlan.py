"""Names and addresses of overlays."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from runc_cpi.daemon.base.address_range import AddressRange
from runc_cpi.daemon.host.network.vxlan import (
    OverlayUnusable,
    interface_of,
    own_address,
)
from runc_cpi.daemon.networks.peers import Overlay


def test_names_of_interfaces() -> None:
    """Each daemon has a name of its own, which the kernel takes."""
    names = [interface_of(daemon) for daemon in ("a", "b", "a")]
    assert names[0] == names[2] != names[1]
    assert max(map(len, names)) <= 15


def test_an_address_that_a_vm_may_get() -> None:
    """A host whose way to its peers is by such an address needs another for its overlay."""
    first, other = IPv4Address("192.0.2.8"), IPv4Address("192.0.2.2")
    vips = (AddressRange(first=first, last=first + 7),)
    overlay = Overlay(interface="vxlan-x", id=7, port=4789, vips=vips)
    assert own_address(overlay, other) == other
    with pytest.raises(OverlayUnusable, match=r"^192\.0\.2\.15, .* overlay\.address$"):
        own_address(overlay, first + 7)
    assert own_address(replace(overlay, address=other), first + 7) == other
