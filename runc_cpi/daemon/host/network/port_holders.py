"""Which process has a port of this host."""

from __future__ import annotations

from contextlib import suppress

from runc_cpi.daemon.host.network.listeners import KINDS, listeners, owner
from runc_cpi.daemon.networks.model import Address


def holder(address: Address, port: int) -> str | None:
    """
    Name the process that has a port, at an address or at all of them.

    This blocks: it looks through the descriptors of all processes.

    @return: such as C{dnsmasq (pid 123)}; C{a process of this host} if it cannot be told
        which: only root can look into others'; L{None} if there is none.
    """
    with suppress(OSError):
        for protocol in KINDS:
            for listener in listeners(protocol):
                is_there = listener.address in (None, address)
                is_there &= address.version in listener.versions
                if listener.port == port and is_there:
                    process = owner(listener.inode)
                    if process is None:
                        return "a process of this host"
                    return f"{process.name} (pid {process.pid})"
    return None
