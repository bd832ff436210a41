"""The documents of the page, over a daemon's parts on a fake host."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from runc_cpi.daemon.status.samples import SIZE
from runc_cpi.errors import InvalidArgument
from tests.fakes.assembly import new_vm
from tests.unit.status.examples import FINDINGS, HOST, HOSTILE, example


class DocumentsTests(TestCase):
    """Some VMs that have been busy for an hour."""

    timeout = 60

    async def setUp(self) -> None:
        directory = Path(os.path.abspath(self.mktemp()))
        self.example = await example(reactor, directory, 4, hostile=True)
        self.documents, self.parts = self.example.documents, self.example.parts

    async def overview(self) -> dict[str, Any]:
        """Return what is there now."""
        found: dict[str, Any] = json.loads(await self.documents.overview())
        return found

    async def test_vms(self) -> None:
        """A VM is told with what BOSH calls it, its state, and what it uses."""
        first, *_, ended, last = (await self.overview())["vms"]
        vm = self.example.vms[0]
        self.assertEqual((first["vm_cid"], first["state"]), (vm.vm_cid, "running"))
        # It is text, and stays so: the page never takes it for markup.
        self.assertEqual((first["instance"], first["deployment"]), (HOSTILE, "cf"))
        self.assertEqual(first["ports"], [{"host": "443/tcp", "container": 8443}])
        self.assertEqual(first["usage"]["pids"], 30)
        self.assertEqual((ended["state"], ended["usage"]), ("ended", None))
        self.assertEqual(ended["end"]["how"], "was ended by signal 9")
        self.assertEqual(last["state"], "running")

    async def test_the_rest(self) -> None:
        """Networks, calls under way, the host and its checks are told as well."""
        told = await self.overview()
        (network,) = told["networks"]
        self.assertEqual((network["name"], network["used"]), ("default", 4))
        self.assertEqual(network["size"], 253)
        methods = [call["method"] for call in told["calls"]]
        self.assertEqual(methods, ["attach_disk", "reboot_vm"])
        self.assertEqual((told["host"], told["more_calls"]), (HOST, 0))
        self.assertEqual(told["findings"], [each.to_json() for each in FINDINGS])

    async def test_disks(self) -> None:
        """A disk is told with where it belongs."""
        vm = self.example.vms[0]
        disk = await self.parts.disks.create(1024, {})
        await self.parts.vms.attach_disk(vm.vm_cid, disk.disk_cid, in_settings=False)
        (told,) = (await self.overview())["disks"]
        self.assertEqual((told["size"], told["attached_to"]), (1024, vm.vm_cid))
        self.assertEqual((told["deployment"], told["instance"]), ("cf", HOSTILE))

    async def test_secrets_are_not_told(self) -> None:
        """What a VM was made with may be secret; names may be long, or of any type."""
        stemcell_cid = self.example.vms[0].stemcell_cid
        new = new_vm(
            stemcell_cid,
            agent_id="agent-secrets",
            env={"bosh": {"password": "hunter2"}},
            agent={"mbus": "nats://u:hunter2@nats"},
        )
        vm = await self.parts.vms.create(new)
        await self.parts.vms.set_metadata(
            vm.vm_cid,
            {"deployment": ["x"], "name": "n" * 500 + "\x1b", "token": "hunter2"},
        )
        document = await self.documents.overview()
        self.assertNotIn(b"hunter2", document)
        told = json.loads(document)["vms"][-1]
        self.assertEqual(told["deployment"], "")
        self.assertEqual(len(told["instance"]), 128)

    async def test_history(self) -> None:
        """Each VM has an hour."""
        told = json.loads(await self.documents.history())
        self.assertEqual(len(told["ages"]), SIZE)
        self.assertEqual(sorted(told["vms"]), sorted(vm.vm_cid for vm in self.example.vms))
        for columns in told["vms"].values():
            self.assertEqual({len(values) for values in columns.values()}, {SIZE})

    async def test_events(self) -> None:
        """The newest events come first, and only those that are wanted."""
        told = json.loads(await self.documents.events({}))["events"]
        numbers = [event["number"] for event in told]
        self.assertEqual(numbers, sorted(numbers, reverse=True))
        wanted = {"request_id": "cpi-318207", "deployment": "cf"}
        (failed,) = json.loads(await self.documents.events(wanted))["events"]
        self.assertEqual(failed["error"], "AddressUnavailable")

    async def test_events_are_read_once_at_a_time(self) -> None:
        """However many ask, they leave threads to calls."""
        journal, readings = self.parts.history.journal, list[Deferred[list[Any]]]()

        def newest(*_: Any) -> Deferred[list[Any]]:
            readings.append(Deferred())
            return readings[-1]

        self.patch(journal, "newest", newest)
        asked = [Deferred.fromCoroutine(self.documents.events({})) for _ in range(3)]
        for number in range(3):
            self.assertEqual(len(readings), number + 1)
            readings[number].callback([])
        self.assertEqual([json.loads(await each) for each in asked], [{"events": []}] * 3)

    async def test_bad_filters(self) -> None:
        """What is wrong with a filter is said."""
        for filters, reason in (
            ({"x": "1"}, "filters: 'x' is none; there are method, "),
            ({"outcome": "bad"}, "filters.outcome: 'bad' must be ok or failed"),
            ({"since": "x"}, "filters.since: 'x' must be seconds since 1970"),
        ):
            with self.assertRaisesRegex(InvalidArgument, reason):
                await self.documents.events(filters)
