"""A second host beside this one: in the same network, or beyond a router."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from pyroute2 import IPRoute

from runc_cpi.daemon.host.namespaces import CLONE_NEWNET, inside
from tests.harness.world import new_namespace

UPLINK = "uplink"
HERE, THERE = "192.0.2.2", "192.0.2.3"
FAR_AWAY = "198.51.100.2"


@dataclass(frozen=True)
class Host:
    """
    The other host.

    @ivar pid: a process in its network namespace.
    @ivar address: its own; ours is L{HERE}.
    @ivar router: a process in the namespace of the router between the two, if there is one.
    """

    pid: int
    address: str
    router: int | None = None

    @property
    def within(self) -> tuple[str, ...]:
        """What runs a command there."""
        return ("nsenter", f"--net=/proc/{self.pid}/ns/net")


@contextmanager
def in_one_network(pid: int) -> Iterator[Host]:
    """
    Join this host and another by a cable.

    @param pid: a process in the other host's network namespace.
    """
    with _cable(pid):
        _set_up(UPLINK, HERE)
        with inside(pid, CLONE_NEWNET):
            _set_up(UPLINK, THERE)
        yield Host(pid, THERE)


@contextmanager
def apart(pid: int) -> Iterator[Host]:
    """
    Join this host and another by a router, which knows no networks of VMs.

    @param pid: a process in the other host's network namespace.
    """
    with ExitStack() as stack:
        router = stack.enter_context(new_namespace())
        stack.enter_context(_cable(router, "here"))
        with inside(pid, CLONE_NEWNET):
            stack.enter_context(_cable(router, "there"))
            _set_up(UPLINK, FAR_AWAY, "198.51.100.1")
        _set_up(UPLINK, HERE, "192.0.2.1")
        with inside(router, CLONE_NEWNET):
            _set_up("here", "192.0.2.1")
            _set_up("there", "198.51.100.1")
            Path("/proc/sys/net/ipv4/ip_forward").write_text("1", "ascii")
        yield Host(pid, FAR_AWAY, router)


@contextmanager
def _cable(pid: int, name: str = UPLINK) -> Iterator[None]:
    """Put a cable into the uplink of this namespace; its other end is in another one."""
    with IPRoute() as ip:
        peer = {"ifname": name, "net_ns_pid": pid}
        ip.link("add", ifname=UPLINK, kind="veth", peer=peer)
    try:
        yield
    finally:
        # The kernel removes both ends, also if they are in different namespaces.
        with inside(pid, CLONE_NEWNET), IPRoute() as ip:
            ip.link("del", index=socket.if_nametoindex(name))


def _set_up(name: str, address: str, router: str | None = None) -> None:
    with IPRoute() as ip:
        index = socket.if_nametoindex(name)
        ip.addr("add", index=index, address=address, prefixlen=24)
        ip.link("set", index=index, state="up")
        if router is not None:
            ip.route("add", dst="default", gateway=router)
