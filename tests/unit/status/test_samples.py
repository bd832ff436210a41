"""Samples of the last hour: rates, gaps, and bounds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twisted.internet.task import Clock
from twisted.logger import capturedLogs, eventAsText
from twisted.trial.unittest import SynchronousTestCase

from runc_cpi.daemon.status.sampler import Sampler
from runc_cpi.daemon.status.samples import INTERVAL, SIZE, Point, Samples, history
from runc_cpi.daemon.vms.usage import Usage


def usage(**changes: Any) -> Usage:
    """Return what a VM uses, with changes."""
    values: dict[str, Any] = {
        "cpu_seconds": 0.0,
        "cpu_limit": None,
        "memory": 100,
        "memory_limit": None,
        "pids": 1,
        "disk": None,
        "disk_limit": None,
        "read": 0,
        "written": 0,
        "received": 0,
        "sent": 0,
    }
    return Usage(**{**values, **changes})


def points(samples: Samples, vm_cid: str) -> list[Point | None]:
    """Return what is known of a VM."""
    return [sample.get(vm_cid) for sample in samples.all]


class SamplesTests(SynchronousTestCase):
    """Samples that are added by hand."""

    def setUp(self) -> None:
        self.samples = Samples(size=3)

    def test_rates(self) -> None:
        """A rate is since the sample before; the first has none."""
        self.samples.add(100, {"vm-1": usage()})
        self.samples.add(110, {"vm-1": usage(cpu_seconds=5, received=40, sent=20)})
        first, second = points(self.samples, "vm-1")
        self.assertEqual(first, Point(None, 100, None, None))
        self.assertEqual(second, Point(0.5, 100, 4, 2))

    def test_a_reboot_begins_anew(self) -> None:
        """What a VM counts begins anew when it boots: there is no rate below zero."""
        self.samples.add(100, {"vm-1": usage(cpu_seconds=50, received=40)})
        self.samples.add(110, {"vm-1": usage(cpu_seconds=1, received=50)})
        self.samples.add(120, {"vm-1": usage(cpu_seconds=2, received=30)})
        _, second, third = points(self.samples, "vm-1")
        self.assertEqual(second, Point(None, 100, None, None))
        self.assertEqual(third, Point(0.1, 100, None, 0))

    def test_a_clock_that_was_set_back(self) -> None:
        """No time has passed then, so there are no rates."""
        self.samples.add(100, {"vm-1": usage()})
        self.samples.add(90, {"vm-1": usage(cpu_seconds=5)})
        self.assertEqual(points(self.samples, "vm-1")[1], Point(None, 100, None, None))

    def test_bounds(self) -> None:
        """Only the last samples are kept, and so only the VMs that are in them."""
        for number in range(5):
            self.samples.add(number, {f"vm-{number}": usage()})
        known = [vm_cid for sample in self.samples.all for vm_cid in sample]
        self.assertEqual(known, ["vm-2", "vm-3", "vm-4"])

    def test_history(self) -> None:
        """Each VM that is wanted has as many values as there are samples, and gaps."""
        self.samples.add(100, {"vm-1": usage(), "vm-2": usage()})
        self.samples.add(110, {"vm-2": usage()})
        self.samples.add(120, {"vm-1": usage(cpu_seconds=1), "vm-2": usage()})
        told = history(self.samples.all, ["vm-1", "vm-3"], 125)
        self.assertEqual(told["ages"], [25, 15, 5])
        self.assertEqual(list(told["vms"]), ["vm-1", "vm-3"])
        self.assertEqual(told["vms"]["vm-1"]["memory"], [100, None, 100])
        self.assertEqual(told["vms"]["vm-1"]["cpu"], [None, None, None])
        self.assertEqual(told["vms"]["vm-3"]["sent"], [None, None, None])

    def test_an_hour(self) -> None:
        """What is kept is an hour."""
        self.assertEqual(INTERVAL * SIZE, 3600)


class Usages:
    """What VMs use, by the word of a test."""

    def __init__(self) -> None:
        self.answer: Mapping[str, Usage] | Exception = {}

    async def all(self) -> Mapping[str, Usage]:
        """Return it, or fail."""
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class SamplerTests(SynchronousTestCase):
    """A sampler with a clock that a test turns."""

    def setUp(self) -> None:
        self.clock, self.usages, self.samples = Clock(), Usages(), Samples()
        fake: Any = self.usages
        self.sampler = Sampler(self.clock, fake, self.samples)
        self.sampler.startService()
        self.addCleanup(self.sampler.stopService)

    def test_interval(self) -> None:
        """A sample is taken at once, and then one each interval."""
        self.clock.pump([INTERVAL] * 3)
        self.assertEqual(
            [sample.moment for sample in self.samples.all],
            [0, INTERVAL, 2 * INTERVAL, 3 * INTERVAL],
        )

    def test_failures(self) -> None:
        """What cannot be measured leaves a gap, and is logged once."""
        with capturedLogs() as log:
            self.usages.answer = OSError("no cgroups")
            self.clock.pump([INTERVAL] * 2)
            self.usages.answer = {}
            self.clock.advance(INTERVAL)
        self.assertEqual(len(self.samples.all), 2)
        told = [eventAsText(event, includeTimestamp=False) for event in log]
        self.assertEqual(sum("cannot measure VMs: no cgroups" in line for line in told), 1)
