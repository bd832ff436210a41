"""Metrics: what is told of the parts, in text that prometheus_client's parser reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase, TestCase

from runc_cpi.daemon.http.metrics import catalogue
from runc_cpi.daemon.http.metrics.counting import LAG_INTERVAL, EventCounts, ReactorLag
from runc_cpi.daemon.http.metrics.exposition import text_of
from runc_cpi.daemon.http.metrics.gathering import (
    FRESH_SECONDS,
    LONGEST,
    Gathering,
    Sources,
)
from runc_cpi.daemon.http.metrics.host import SELDOM, HostNumbers
from runc_cpi.daemon.http.metrics.samples import Sample
from runc_cpi.daemon.http.metrics.stemcells import StemcellSizes
from runc_cpi.daemon.storage.depot import Depot
from runc_cpi.daemon.vms.usage import Usage
from tests.fakes.assembly import assemble, new_vm
from tests.fakes.script import Script
from tests.harness.certificates import Authority

USAGE = Usage(
    cpu_seconds=1.5,
    cpu_limit=None,
    memory=1000,
    memory_limit=2000,
    pids=3,
    disk=4096,
    disk_limit=8192,
    read=5,
    written=6,
    received=7,
    sent=8,
)


def values_in(text: bytes) -> dict[str, float]:
    """Return the values in a text, by the name of the metric and its labels."""
    found = {}
    for family in text_string_to_metric_families(text.decode()):
        for sample in family.samples:
            labels = ",".join(
                f"{key}={value}" for key, value in sorted(sample.labels.items())
            )
            name = f"{sample.name}{{{labels}}}" if labels else sample.name
            assert name not in found, name
            found[name] = sample.value
    return found


class Looks:
    """A host with one loop device, which notes how often it is looked at closely."""

    def __init__(self, seconds: Any) -> None:
        self.count = 0
        self.numbers = HostNumbers(
            loop_devices=lambda: 1,
            stuck_removals=lambda: 3,
            findings=self._examine,
            named_certificates={"tls.ca": Authority().pem, "tls.certificate": "/no/file"},
            seconds=seconds,
        )

    def _examine(self) -> list[str]:
        self.count += 1
        return ["ok", "ok", "fault"]


class GatheringTests(TestCase):
    """Everything, over parts whose host is a fake."""

    timeout = 30

    def setUp(self) -> None:
        depot = Depot(Path(self.mktemp()))
        depot.prepare()
        self.addCleanup(depot.release)
        self.script = Script()
        self.parts = parts = assemble(self.script, depot, Script())
        self.clock = parts.clock
        self.looks = Looks(self.clock.seconds)
        self.lag = ReactorLag(self.clock)
        sources = Sources(
            vms=parts.vms,
            usages=parts.usages,
            networks=parts.networks,
            disks=parts.disks,
            snapshots=parts.snapshots,
            stemcells=StemcellSizes(parts.stemcells, parts.trees, parts.tasks),
            calls=parts.history.calls,
            counts=EventCounts(parts.history.journal),
            lag=self.lag,
            host=self.looks.numbers,
            queues={"programs": lambda: 2},
        )
        self.gathering = Gathering(self.clock, parts.tasks, sources)

    async def test_all_of_it(self) -> None:
        """All that there is has its numbers."""
        parts, calls = self.parts, self.parts.history.calls
        image = Path(self.mktemp())
        image.write_bytes(b"x")
        with image.open("rb") as file:
            stemcell = await parts.stemcells.create(file.fileno(), {})
        vm = await parts.vms.create(new_vm(stemcell.cid))
        await parts.vms.set_metadata(
            vm.vm_cid, {"deployment": 'a"\n\ud800', "name": "db/\\0"}
        )
        parts.meter.usages[parts.containers.find(vm.vm_cid).cgroup] = USAGE
        disk = await parts.disks.create(64, {})
        ended = calls.begin("create_disk", [])
        self.clock.advance(0.3)
        calls.end(ended)
        calls.begin("delete_disk", []).take_turn()
        calls.begin("has_disk", [])
        parts.history.journal.add(
            source="daemon",
            method="vm_ended",
            outcome="ok",
            request_id="",
            deployment="",
            instance="",
            cids=(),
            seconds=None,
            error="",
            text="",
        )
        text = await self.gathering.text()
        found = values_in(text)
        of_disk = f"{{disk_cid={disk.disk_cid},vm_cid=}}"
        labels = next(name for name in found if name.startswith("runc_cpi_vm_pids"))
        of_vm = labels.removeprefix("runc_cpi_vm_pids")
        self.assertIn(vm.vm_cid, of_vm)
        self.assertIn("instance=db/\\0", of_vm)
        for name, value in {
            f"runc_cpi_vm_cpu_seconds_total{of_vm}": 1.5,
            f"runc_cpi_vm_memory_bytes{of_vm}": 1000,
            f"runc_cpi_vm_disk_bytes{of_vm}": 4096,
            f"runc_cpi_vm_network_receive_bytes_total{of_vm}": 7,
            f"runc_cpi_vm_network_transmit_bytes_total{of_vm}": 8,
            f"runc_cpi_vm_oom_kills_total{of_vm}": 0,
            "runc_cpi_vms{state=running}": 1,
            "runc_cpi_vms{state=ended}": 0,
            "runc_cpi_vms{state=set_aside}": 0,
            f"runc_cpi_disk_size_bytes{of_disk}": 64 << 20,
            "runc_cpi_stemcells": 1,
            "runc_cpi_snapshots": 0,
            "runc_cpi_network_addresses{cidr=10.0.0.0/29,network=}": 5,
            "runc_cpi_network_addresses_used{cidr=10.0.0.0/29,network=}": 1,
            "runc_cpi_room_promised_bytes": 64 << 20,
            "runc_cpi_loop_devices": 1,
            "runc_cpi_stuck_interface_removals": 3,
            "runc_cpi_doctor_findings{state=ok}": 2,
            "runc_cpi_doctor_findings{state=warning}": 0,
            "runc_cpi_calls_under_way{state=running}": 1,
            "runc_cpi_calls_under_way{state=waiting}": 1,
            "runc_cpi_queue_length{queue=programs}": 2,
            "runc_cpi_events_total{event=vm_ended}": 1,
        }.items():
            self.assertEqual(found.get(name), value, name)
        call = "method=create_disk,outcome=ok}"
        buckets = "runc_cpi_call_duration_seconds_bucket"
        self.assertEqual(found[f"{buckets}{{le=0.25,{call}"], 0)
        self.assertEqual(found[f"{buckets}{{le=0.5,{call}"], 1)
        self.assertEqual(found[f"{buckets}{{le=+Inf,{call}"], 1)
        self.assertNotIn(f"runc_cpi_vm_cpu_limit{of_vm}", found)
        self.assertGreater(found["runc_cpi_process_resident_memory_bytes"], 1 << 20)
        self.assertGreater(
            found["runc_cpi_certificate_expiry_timestamp_seconds{key=tls.ca}"], 1e9
        )
        self.clock.advance(FRESH_SECONDS)
        found = values_in(await self.gathering.text())
        self.assertIn(f"runc_cpi_stemcell_bytes{{stemcell_cid={stemcell.cid}}}", found)
        self.assertEqual(self.script.done.count("size"), 1)

    async def test_it_is_gathered_once_for_all(self) -> None:
        """Who asks while it is gathered, or soon after that, gets the same text."""
        first, gone, second = (
            Deferred.fromCoroutine(self.gathering.text()) for _ in range(3)
        )
        gone.addErrback(lambda failure: None)
        gone.cancel()
        text = await first
        self.assertIs(text, await second)
        self.assertIs(text, await self.gathering.text())
        self.clock.advance(FRESH_SECONDS)
        self.assertIsNot(text, await self.gathering.text())

    async def test_what_takes_long_is_kept_for_long(self) -> None:
        """Gathering takes a small part of the time, however often somebody asks."""
        for took, kept in ((0.02, 4.0), (1.0, LONGEST)):
            first = Deferred.fromCoroutine(self.gathering.text())
            self.clock.advance(took)
            text = await first
            self.clock.advance(kept - 0.1)
            self.assertIs(text, await self.gathering.text())
            self.clock.advance(0.2)
            self.assertIsNot(text, await self.gathering.text())
            self.clock.advance(FRESH_SECONDS)

    async def test_what_changes_slowly(self) -> None:
        """The host is examined seldom."""
        for _ in range(3):
            await self.gathering.text()
            self.clock.advance(FRESH_SECONDS)
        self.assertEqual(self.looks.count, 1)
        self.clock.advance(SELDOM)
        await self.gathering.text()
        self.assertEqual(self.looks.count, 2)

    async def test_failures(self) -> None:
        """Whoever asks sees a failure, and the next one does not."""
        failing: Any = self.parts.usages

        async def fail() -> None:
            raise OSError("no such file")

        self.patch(failing, "all", fail)
        with self.assertRaisesRegex(OSError, "no such file"):
            await self.gathering.text()
        del failing.all
        self.assertIn("runc_cpi_stemcells", values_in(await self.gathering.text()))


class PartsTests(SynchronousTestCase):
    """Single numbers."""

    def test_lag(self) -> None:
        """What the event loop is late by is counted, from the start to the end."""
        clock: Any = Clock()
        lag = ReactorLag(clock)
        lag.startService()
        clock.advance(LAG_INTERVAL)
        clock.advance(LAG_INTERVAL + 0.2)
        (found,) = lag.read()
        self.assertEqual(found.counts[-1], 2)
        self.assertAlmostEqual(found.sum, 0.2)
        lag.stopService()
        self.assertEqual(clock.getDelayedCalls(), [])

    def test_every_metric_is_told_of(self) -> None:
        """A metric without values is in the text all the same, with its kind."""
        text = text_of([]).decode()
        for metric in catalogue.METRICS:
            self.assertIn(f"# TYPE {metric.name} {metric.kind}\n", text)
            self.assertIn(f"# HELP {metric.name} {metric.meaning}\n", text)
            self.assertTrue(metric.name.startswith("runc_cpi_"))
            is_counter = metric.kind == catalogue.COUNTER
            self.assertEqual(metric.name.endswith("_total"), is_counter)
        names = [metric.name for metric in catalogue.METRICS]
        self.assertEqual(len(names), len(set(names)))

    def test_names_of_anything(self) -> None:
        """Names that others choose are no way to other metrics."""
        labels = ("vm-1", 'x"} 1\nrunc_cpi_stemcells 7\n', "\\")
        found = values_in(text_of([Sample(catalogue.VM_PIDS, labels, 1)]))
        self.assertNotIn("runc_cpi_stemcells", found)
        self.assertIn(1, found.values())
