"""When the kernel ends processes of a VM for want of memory, and how many it ended."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

from twisted.internet.interfaces import IDelayedCall
from zope.interface import implementer

from runc_cpi.daemon.host.cgroups import hierarchies
from runc_cpi.daemon.host.high_descriptors import raised
from runc_cpi.daemon.host.inotify import Inotify
from runc_cpi.daemon.host.readable import Readable
from runc_cpi.daemon.storage.descent import Entered, walk
from runc_cpi.daemon.vms.interfaces import IOOMKiller
from runc_cpi.daemon.vms.spec.cgroup_path import container_cgroup

_KILLS = re.compile(rb"^oom_kill (\d+)$", re.MULTILINE)
# A VM can make cgroups without end.
_MOST_STEPS = 20_000
# With v1 the kernel tells when it begins to look for what to kill.
_SOON, _LATER = 0.1, 2.0  # seconds


def _kills(content: bytes) -> int:
    found = _KILLS.search(content)
    return int(found[1]) if found else 0


@implementer(IOOMKiller)
class OOMKillerV1:
    """
    The memory controller of cgroup v1: an eventfd for each VM (memory.rst, "OOM Control").

    Each cgroup has a count of its own, so those of a VM are added.  The kernel tells of
    kills that the limit of the VM is the reason for.  Of those by a limit that the VM set
    on a cgroup of its own it tells only there; they are counted all the same.
    """

    def __init__(self, reactor: Any, root: Path = hierarchies.ROOT / "memory") -> None:
        self._reactor, self._root = reactor, root
        self._watches: dict[str, _WatchV1] = {}

    def watch(self, cgroup: str, happened: Callable[[], None]) -> None:
        """
        Register an eventfd with the cgroup of the container.

        That of the VM has the same limit, and the kernel asks the container's first.

        @raise OSError: if the kernel refuses.
        """
        if cgroup in self._watches:
            return
        directory = self._root / container_cgroup(cgroup).lstrip("/")
        control = os.open(directory / "memory.oom_control", os.O_RDONLY | os.O_CLOEXEC)
        try:
            events = raised(os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC))
            try:
                registration = f"{events} {control}"
                (directory / "cgroup.event_control").write_text(registration, "ascii")
            except OSError:
                os.close(events)
                raise
        finally:
            os.close(control)
        self._watches[cgroup] = _WatchV1(self._reactor, events, happened)

    def unwatch(self, cgroup: str) -> None:
        """Close the eventfd, and so take it back."""
        watch = self._watches.pop(cgroup, None)
        if watch is not None:
            watch.close()

    def count(self, cgroup: str) -> int | None:
        """Add up what all cgroups of the VM tell."""
        top = self._root / cgroup.lstrip("/")
        if not (top / "memory.oom_control").exists():
            return None
        return sum(
            _kills(hierarchies.read(step.fd, "memory.oom_control"))
            for step in islice(walk(top), _MOST_STEPS)
            if isinstance(step, Entered)
        )


class _WatchV1:
    """
    The eventfd of a VM.

    For one kill it can be written to a hundred times.
    """

    def __init__(self, reactor: Any, events: int, happened: Callable[[], None]) -> None:
        self._reactor, self._events, self._happened = reactor, events, happened
        self._calls: dict[float, IDelayedCall] = {}
        self._reader = Readable(reactor, events, "memory of a VM", self._read)

    def close(self) -> None:
        """Read it no more."""
        self._reader.close()
        for call in self._calls.values():
            if call.active():
                call.cancel()

    def _read(self) -> None:
        with suppress(BlockingIOError):
            os.eventfd_read(self._events)
        if not self._is_due(_SOON):
            self._call_later(_SOON)
        if self._is_due(_LATER):
            self._calls[_LATER].reset(_LATER)
        else:
            self._call_later(_LATER)

    def _is_due(self, seconds: float) -> bool:
        return seconds in self._calls and bool(self._calls[seconds].active())

    def _call_later(self, seconds: float) -> None:
        self._calls[seconds] = self._reactor.callLater(seconds, self._happened)


@implementer(IOOMKiller)
class OOMKillerV2:
    """
    The memory controller of cgroup v2: one inotify descriptor for all VMs.

    C{memory.events} of a VM's cgroup counts for those below it as well (cgroup-v2.rst).
    """

    def __init__(self, reactor: Any, root: Path = hierarchies.ROOT) -> None:
        self._reactor, self._root = reactor, root
        self._inotify: Inotify | None = None
        self._watches: dict[str, int] = {}

    def _events(self, cgroup: str) -> Path:
        return self._root / cgroup.lstrip("/") / "memory.events"

    def watch(self, cgroup: str, happened: Callable[[], None]) -> None:
        """
        Watch the file of a VM, if its cgroup has the controller.

        @raise OSError: if the kernel refuses.
        """
        if cgroup in self._watches or not self._events(cgroup).exists():
            return
        if self._inotify is None:
            self._inotify = Inotify(self._reactor)
        self._watches[cgroup] = self._inotify.watch(self._events(cgroup), happened)

    def unwatch(self, cgroup: str) -> None:
        """Watch it no more."""
        watch = self._watches.pop(cgroup, None)
        if watch is None or self._inotify is None:
            return
        self._inotify.ignore(watch)
        if not self._watches:
            self._inotify.close()
            self._inotify = None

    def count(self, cgroup: str) -> int | None:
        """Read the file."""
        with suppress(OSError):
            return _kills(self._events(cgroup).read_bytes())
        return None


def oom_killer(reactor: Any) -> OOMKillerV1 | OOMKillerV2:
    """Return what this host has: v1's controller wherever it is mounted, else v2."""
    has_v1 = (hierarchies.ROOT / "memory").is_dir()
    return OOMKillerV1(reactor) if has_v1 else OOMKillerV2(reactor)
