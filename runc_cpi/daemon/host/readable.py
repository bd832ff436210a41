"""A descriptor of the kernel's that tells of events, as the reactor reads it."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IReadDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer


@implementer(IReadDescriptor)
class Readable:
    """
    A descriptor that is read from now on, until it is closed.

    @param fd: it becomes this object's to close.
    @param name: names it in the log.
    @param read: is called when there is something to read.
    """

    def __init__(self, reactor: Any, fd: int, name: str, read: Callable[[], None]) -> None:
        self._reactor, self._fd, self._name, self.doRead = reactor, fd, name, read
        reactor.addReader(self)

    def close(self) -> None:
        """Read it no more."""
        self._reactor.removeReader(self)
        os.close(self._fd)

    def fileno(self) -> int:
        """Return what the reactor watches."""
        return self._fd

    def connectionLost(self, reason: Failure) -> None:
        """The reactor stops; nobody is left to be told."""

    def logPrefix(self) -> str:
        """Name this reader in the log."""
        return self._name
