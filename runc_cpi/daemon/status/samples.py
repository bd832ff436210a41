"""What VMs used in the last hour: samples at a regular interval, kept in memory."""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from math import isnan, nan
from typing import Any, NamedTuple

from runc_cpi.daemon.vms.usage import Usage

INTERVAL = 30.0  # seconds
SIZE = 120  # samples, which is an hour


class Point(NamedTuple):
    """
    What one VM used when a sample was taken; a rate is since the sample before.

    @ivar cpu: processors it kept busy, or L{None} if that is not known.
    @ivar memory: bytes, or L{None} if that is not known.
    @ivar received: bytes a second, or L{None} if that is not known.
    @ivar sent: bytes a second, or L{None} if that is not known.
    """

    cpu: float | None
    memory: int | None
    received: float | None
    sent: float | None


class Sample:
    """
    What all VMs used at one moment.

    The numbers of all points are in one array: objects would take five times the room.

    @param points: by the cids of the VMs that ran.
    @param before: a sample that has mostly the same VMs, if there is one.
    @ivar moment: when, in seconds of whatever clock.
    """

    def __init__(
        self, moment: float, points: Mapping[str, Point], before: Sample | None
    ) -> None:
        self.moment = moment
        self._places = {vm_cid: place for place, vm_cid in enumerate(points)}
        if before is not None and before._places == self._places:
            self._places = before._places
        numbers = (number for point in points.values() for number in point)
        self._numbers = array("d", (nan if each is None else each for each in numbers))

    def __iter__(self) -> Iterator[str]:
        """Name the VMs that ran."""
        return iter(self._places)

    def get(self, vm_cid: str) -> Point | None:
        """Return what a VM used, or L{None} if it did not run."""
        place = self._places.get(vm_cid)
        if place is None:
            return None
        width = len(Point._fields)
        cpu, memory, received, sent = (
            None if isnan(number) else number
            for number in self._numbers[place * width : (place + 1) * width]
        )
        return Point(cpu, None if memory is None else int(memory), received, sent)


class Samples:
    """
    The last samples.

    They take some 4 KiB a VM, however long the daemon runs and however many VMs come
    and go: at most C{size} samples are kept, and in each are the VMs that ran then.
    """

    def __init__(self, size: int = SIZE) -> None:
        self._samples: deque[Sample] = deque(maxlen=size)
        self._usages: Mapping[str, Usage] = {}

    @property
    def all(self) -> Sequence[Sample]:
        """The samples, the oldest first; what is returned does not change any more."""
        return tuple(self._samples)

    def add(self, moment: float, usages: Mapping[str, Usage]) -> None:
        """
        Take a sample.

        @param moment: in seconds; later than the one before.
        @param usages: what each VM uses that runs.
        """
        passed = moment - self._samples[-1].moment if self._samples else 0.0
        points = {
            vm_cid: _point(usage, self._usages.get(vm_cid), passed)
            for vm_cid, usage in usages.items()
        }
        last = self._samples[-1] if self._samples else None
        self._samples.append(Sample(moment, points, last))
        self._usages = usages


def _point(usage: Usage, before: Usage | None, passed: float) -> Point:
    """Return a point, with rates if the VM ran all the time."""
    if before is None or passed <= 0 or _has_booted(usage, before):
        return Point(None, usage.memory, None, None)
    return Point(
        _rate(usage.cpu_seconds, before.cpu_seconds, passed),
        usage.memory,
        _rate(usage.received, before.received, passed),
        _rate(usage.sent, before.sent, passed),
    )


def _has_booted(usage: Usage, before: Usage) -> bool:
    """Say whether a VM counts anew, as it does when it boots."""
    now, then = usage.cpu_seconds, before.cpu_seconds
    return now is not None and then is not None and now < then


def _rate(count: float | None, before: float | None, passed: float) -> float | None:
    if count is None or before is None or count < before:
        return None
    return (count - before) / passed


def history(
    samples: Sequence[Sample], vm_cids: Collection[str], moment: float
) -> dict[str, Any]:
    """
    Return samples as the page has them: of each VM one list a quantity, with gaps.

    @param vm_cids: the VMs that are wanted.
    @param moment: what the ages of samples are counted from, in seconds.
    """
    return {
        "interval": INTERVAL,
        "size": SIZE,
        "ages": [round(moment - sample.moment, 1) for sample in samples],
        "vms": {
            vm_cid: _columns([sample.get(vm_cid) for sample in samples])
            for vm_cid in vm_cids
        },
    }


def _columns(points: Sequence[Point | None]) -> dict[str, list[float | None]]:
    return {
        "cpu": [point and _rounded(point.cpu, 4) for point in points],
        "memory": [point and point.memory for point in points],
        "received": [point and _rounded(point.received) for point in points],
        "sent": [point and _rounded(point.sent) for point in points],
    }


def _rounded(value: float | None, digits: int | None = None) -> float | None:
    return None if value is None else round(value, digits)
