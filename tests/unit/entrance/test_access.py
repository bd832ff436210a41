"""Who may connect without TLS: by source address, and by who is there."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest
from twisted.internet.address import IPv4Address, IPv6Address

from runc_cpi.daemon.entrance.access import Access, Refusal, address_of
from runc_cpi.daemon.networks.model import Address
from runc_cpi.daemon.vms.vm import VM
from tests.fakes.entrance import HOSTS_OWN, FakeSockets

OWN = IPv4Address("TCP", "127.0.0.1", 9999)


def vm(address: Address) -> VM | None:
    """Return one of two VMs, of which one may call."""
    if str(address) not in ("10.0.0.5", "10.0.0.6", "fd00::5"):
        return None
    return VM(
        vm_cid=f"vm-{address}",
        agent_id="a",
        stemcell_cid="s",
        cloud_properties={"cpi_access": str(address) in ("10.0.0.5", "fd00::5")},
        networks={},
        nics=(),
        env={},
        agent={},
        created_at="",
    )


def refusal(
    host: str, *allowed: str, uid: int | None = 1000, users: tuple[int, ...] = ()
) -> Refusal | None:
    """Ask about a peer."""
    access = Access(
        networks=[ip_network(network) for network in allowed],
        users=users,
        sockets=FakeSockets(uid),
        vm_at=vm,
    )
    kind = IPv6Address if ":" in host else IPv4Address
    return access.refusal(kind("TCP", host, 40000), OWN)


LOCAL = ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", *sorted(HOSTS_OWN)]


@pytest.mark.parametrize("host", LOCAL)
def test_users_of_the_host(host: str) -> None:
    """A process of root may connect by any address of the host; other users are named."""
    assert refusal(host, uid=0) is None
    assert refusal(host, uid=1000, users=(7, 1000)) is None
    for uid in (1000, 65534):
        why = refusal(host, uid=uid, users=(7,))
        assert why is not None
        assert why.who == f"user {uid} of this host"
        assert "allow_users" in why.remedy


@pytest.mark.parametrize("host", LOCAL)
def test_nobodys_socket(host: str) -> None:
    """A socket that no process has is refused, as it may have been anybody's."""
    why = refusal(host, uid=None, users=(0,))
    assert why is not None
    assert "no process" in why.who


def test_all_users_of_the_host() -> None:
    """A loopback network in C{allow_from} lets in all users by loopback, and only so."""
    for host in ("127.0.0.1", "::ffff:127.0.0.1"):
        assert refusal(host, "127.0.0.0/8") is None
        assert refusal(host, "::1/128") is not None
    assert refusal("::1", "::1/128") is None
    assert refusal("192.0.2.1", "192.0.2.0/24", "127.0.0.0/8") is not None


@pytest.mark.parametrize("host", ["192.0.2.9", "::ffff:192.0.2.9", "2001:db8::9"])
def test_other_machines(host: str) -> None:
    """Other machines may connect from the networks of C{allow_from}."""
    assert refusal(host, "192.0.2.0/24", "2001:db8::/32") is None
    why = refusal(host, "198.51.100.0/24", uid=0)
    assert why == Refusal(host.removeprefix("::ffff:"), "add it to allow_from, or set tls")


def test_vms() -> None:
    """A VM with C{cpi_access} may connect; others only from C{allow_from}."""
    assert refusal("10.0.0.5") is None
    assert refusal("::ffff:10.0.0.5") is None
    assert refusal("fd00::5") is None
    why = refusal("10.0.0.6")
    assert why is not None
    assert why.who == "vm-10.0.0.6 at 10.0.0.6"
    assert "cpi_access" in why.remedy
    assert refusal("10.0.0.6", "10.0.0.0/16") is None
    unknown = refusal("10.0.0.7")
    assert unknown is not None
    assert unknown.who == "10.0.0.7"


def test_a_kernel_that_does_not_tell() -> None:
    """If the kernel does not tell whose a connection is, it is refused."""
    access = Access(networks=(), users=(), sockets=FakeSockets(0, broken=True), vm_at=vm)
    why = access.refusal(IPv4Address("TCP", "127.0.0.1", 40000), OWN)
    assert why is not None
    assert "Too many open files" in why.who


@pytest.mark.parametrize(
    ("host", "address"),
    [("fe80::1%eth0", "fe80::1"), ("::ffff:10.0.3.4", "10.0.3.4"), ("::1", "::1")],
)
def test_addresses(host: str, address: str) -> None:
    """The zone of an address is ignored, and IPv4 in IPv6 is taken for IPv4."""
    assert address_of(IPv6Address("TCP", host, 1)) == ip_address(address)
