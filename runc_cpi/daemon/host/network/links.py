"""What the modules that configure network interfaces share."""

from __future__ import annotations

import errno
import os
import socket
from threading import Thread, Timer
from typing import Any

from pyroute2.netlink.exceptions import NetlinkError
from twisted.logger import Logger

from runc_cpi.daemon.host.network import rtnetlink

log = Logger()
# The kernel takes half a millisecond to take an interface away.
INTERVAL = 0.0005  # seconds
LONG = 10.0  # seconds; to take one away takes 15 to 50 ms
_stuck: set[Thread] = set()  # the removals that have taken longer


def find(name: str) -> int | None:
    """
    Return the index of an interface of this thread's network namespace, if it is there.

    C{IPRoute.link_lookup} takes ten times as long: it reads all about the interface.
    """
    try:
        return socket.if_nametoindex(name)
    except OSError:
        return None


def index_of(name: str) -> int:
    """
    Return the index of an interface of this thread's network namespace.

    @raise OSError: if it is not there.
    """
    return socket.if_nametoindex(name)


def remove(name: str) -> None:
    """
    Remove an interface; one that is gone is no error.

    Nobody finds it any more, and its name is free, when this returns.  The kernel answers
    15 to 50 ms later: it waits for all processors to let go of what belongs to the
    interface (netdev_run_todo, net/core/dev.c).  A thread waits for that.

    @raise OSError: if the kernel refuses.
    """
    index = find(name)
    if index is None:
        return
    removal = _Removal(index)
    removal.start()
    while removal.is_alive() and find(name) == index:
        removal.join(INTERVAL)
    if removal.error is not None:
        raise removal.error


def stuck_removals() -> int:
    """Count the interfaces that the kernel has not removed within L{LONG} seconds."""
    return len(_stuck)


class _Removal(Thread):
    """
    The removal of an interface.

    @param index: the interface's; the thread is in the network namespace of its starter.
    @ivar error: why the kernel refuses.
    """

    def __init__(self, index: int) -> None:
        super().__init__(name=f"removing interface {index}", daemon=True)
        self._index = index
        self.error: OSError | None = None

    def run(self) -> None:
        """Remove it, and wait for the kernel's answer."""
        alarm = Timer(LONG, self._takes_long)
        alarm.daemon = True
        alarm.start()
        try:
            rtnetlink.remove_link(self._index)
        except OSError as error:
            if error.errno != errno.ENODEV:
                self.error = error
        finally:
            alarm.cancel()
            # It may have gone off just now, and count this one.
            alarm.join()
            _stuck.discard(self)

    def _takes_long(self) -> None:
        _stuck.add(self)
        log.warn(
            "the kernel has not removed interface {index} within {seconds:g} s: something "
            "holds on to it, and a thread waits for that",
            index=self._index,
            seconds=LONG,
        )


def reason(error: Exception) -> str:
    """Return what the kernel says, without what netlink adds to it."""
    if isinstance(error, NetlinkError):
        return os.strerror(error.code)
    return str(error)


def name_of(ip: Any, index: int) -> str:
    """
    Return the name of an interface.

    @param ip: an C{IPRoute}.
    @raise NetlinkError: if it is gone.
    """
    (link,) = ip.get_links(index)
    return str(link.get_attr("IFLA_IFNAME"))


def alias_of(link: Any) -> str:
    """Return the alias of an interface, as netlink tells of it, or nothing."""
    return str(link.get_attr("IFLA_IFALIAS") or "")
