"""
Starts child processes without a look at each descriptor of this process.

Twisted asks for the flags of all descriptors, to close in the child those that would stay
open.  With two for each of a thousand VMs that held up the reactor for 4 ms each time.  In
this process none stays open at exec (L{close_at_exec}), but for sockets that the library of
nftables has for moments.  So nobody has to ask.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any

from twisted.internet.interfaces import IProcessProtocol
from twisted.internet.process import Process

LAST_STANDARD = 2  # stderr; programs take for granted that they have these descriptors


def start(
    reactor: Any,
    protocol: IProcessProtocol,
    argv: Sequence[str],
    environment: Mapping[str, str],
    child_fds: Mapping[int, int | str],
) -> None:
    """
    Start a child.

    @param reactor: reads what it writes, and reaps it.
    @param child_fds: all its descriptors, as C{childFDs} of Twisted's C{spawnProcess}.
    @raise OSError: if the program cannot be run.
    """
    _Spawned(reactor, argv[0], argv, environment, None, protocol, None, None, child_fds)


class _Spawned(Process):
    """A child; if Twisted should not ask for this method any more, it is as any other."""

    def _trySpawnInsteadOfFork(
        self,
        path: None,
        uid: None,
        gid: None,
        executable: str,
        args: Sequence[str],
        environment: Mapping[str, str],
        kwargs: Mapping[str, Any],
    ) -> bool:
        self.pid = os.posix_spawnp(
            executable,
            list(args),
            environment,
            file_actions=file_actions(kwargs["fdmap"]),
            # Python ignores some, and a child would as well.
            setsigdef=[
                number
                for number in signal.valid_signals()
                if signal.getsignal(number) == signal.SIG_IGN
            ],
        )
        return True


def file_actions(fds: Mapping[int, int]) -> list[tuple[int, ...]]:
    """
    Return what gives a child its descriptors, for C{os.posix_spawn}.

    @param fds: which descriptor of this process is which of the child.
    """
    used = {*fds, *fds.values()}
    spare = (number for number in count() if number not in used)
    actions: list[tuple[int, ...]] = []
    # By way of others, for one may have the number that another one is to get.
    ways = {child: (fd, next(spare)) for child, fd in fds.items()}
    for fd, way in ways.values():
        actions.append((os.POSIX_SPAWN_DUP2, fd, way))
    for child, (_, way) in ways.items():
        actions.append((os.POSIX_SPAWN_DUP2, way, child))
        actions.append((os.POSIX_SPAWN_CLOSE, way))
    return actions


def close_at_exec() -> None:
    """
    Have no child get a descriptor that this process has now, unless it is given to it.

    What Python opens is so already.  Libraries may open others, and some are inherited.
    """
    for name in os.listdir("/proc/self/fd"):
        number = int(name)
        if number > LAST_STANDARD:
            try:
                os.set_inheritable(number, False)
            except OSError:
                continue  # it was what the directory was read by
