"""Locks by key, and the order in which those of VMs and disks are taken."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import Context, ContextVar, copy_context
from enum import IntEnum
from weakref import WeakValueDictionary

from twisted.internet.defer import DeferredLock

from runc_cpi.daemon.base.calls import current, waiting_for


class KeyedLock:
    """Serializes what is done to one key; a lock nobody wants is forgotten."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[str, DeferredLock] = WeakValueDictionary()

    @asynccontextmanager
    async def __call__(self, key: str) -> AsyncIterator[None]:
        """Hold the lock of C{key}; those who ask for it get it in turn."""
        lock = self._locks.setdefault(key, DeferredLock())
        with waiting_for(key):
            await lock.acquire()
        try:
            yield
        finally:
            lock.release()

    def is_held(self, key: str) -> bool:
        """Say whether somebody holds the lock of C{key}."""
        lock = self._locks.get(key)
        return lock is not None and bool(lock.locked)


class Kind(IntEnum):
    """What a lock is of, in the order in which locks are taken."""

    VM = 1
    DISK = 2


class LockOrderError(Exception):
    """A lock was asked for out of order: two callers could wait for each other for ever."""


# The locks that the running coroutine holds, or whoever waits for it.
_held: ContextVar[tuple[tuple[Kind, str], ...]] = ContextVar("_held", default=())


class OrderedLock(KeyedLock):
    """Locks of one kind, of which a caller holds one at most, and none of a later kind."""

    def __init__(self, kind: Kind) -> None:
        super().__init__()
        self._kind = kind

    @asynccontextmanager
    async def __call__(self, key: str) -> AsyncIterator[None]:
        """
        Hold the lock of C{key}.

        @raise LockOrderError: if the caller holds a lock of this kind or of a later one.
        """
        held = _held.get()
        for kind, other in held:
            if kind >= self._kind:
                raise LockOrderError(
                    f"the lock of {key} was asked for while that of {other} is held; the "
                    "order is: one VM, then one disk"
                )
        async with super().__call__(key):
            _held.set((*held, (self._kind, key)))
            try:
                yield
            finally:
                _held.set(held)


class Locks:
    """
    The locks of all VMs and disks.

    Whoever needs both takes the VM's first, and holds one of each at most.

    @ivar vm: by C{vm_cid}: held while something is done to the VM.
    @ivar disk: by C{disk_cid}: held while something is done to the disk.
    """

    def __init__(self) -> None:
        self.vm = OrderedLock(Kind.VM)
        self.disk = OrderedLock(Kind.DISK)


def unlocked_context() -> Context:
    """Return a context for work that no call waits for: it holds no lock of its starter."""
    context = copy_context()
    context.run(_held.set, ())
    context.run(current.set, None)
    return context
