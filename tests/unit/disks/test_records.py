"""Records of disks: what a daemon finds when it comes back, whenever it went."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runc_cpi.daemon.base.repairs import Repairs
from runc_cpi.daemon.disks import records
from runc_cpi.daemon.disks.disk import Disk
from runc_cpi.daemon.disks.snapshot import Snapshot
from runc_cpi.errors import CloudError
from tests.unit.disks.disk_case import DiskTestCase

TEXTS = st.dictionaries(st.text(max_size=9), st.text(max_size=9), max_size=4)


def disk(**changes: Any) -> Disk:
    """Return a disk like any other, with changes."""
    values: dict[str, Any] = {
        "disk_cid": "disk-1",
        "size": 1024,
        "driver": "image",
        "filesystem": "ext4",
        "cloud_properties": {},
        "created_at": "2026-01-01T00:00:00+00:00",
    }
    return Disk(**{**values, **changes})


SNAPSHOT = Snapshot(
    snapshot_cid="snapshot-1",
    disk_cid="disk-1",
    size=1024,
    driver="image",
    filesystem="xfs",
    metadata={"job": "db"},
    created_at="2026-01-01T00:00:00+00:00",
)


@given(TEXTS, TEXTS, st.none() | st.text(min_size=1), st.booleans())
def test_a_record_comes_back(
    properties: Any, metadata: Any, attached_to: Any, told: bool
) -> None:
    """A disk's record is the same after a way through JSON, whatever is in it."""
    before = disk(
        cloud_properties=properties,
        metadata=metadata,
        attached_to=attached_to,
        in_settings=told,
    )
    assert Disk.from_json(json.loads(json.dumps(before.to_json()))) == before


def test_a_snapshots_record_comes_back() -> None:
    """A snapshot's record is the same after a way through JSON."""
    assert Snapshot.from_json(json.loads(json.dumps(SNAPSHOT.to_json()))) == SNAPSHOT


@pytest.mark.parametrize("kind", [disk(), SNAPSHOT], ids=["disk", "snapshot"])
@pytest.mark.parametrize("damage", [{"schema": 2}, {"schema": None}, {"disk_cid": 5}])
def test_a_record_of_another_version(kind: Any, damage: dict[str, Any]) -> None:
    """A record of another version is refused with a reason."""
    with pytest.raises(ValueError, match=r".+"):
        type(kind).from_json({**kind.to_json(), **damage})


class RestartTests(DiskTestCase):
    """A daemon starts over what another one left, or died in the middle of."""

    async def test_all_is_known_again(self) -> None:
        """After a restart all disks are known, with the VMs that have them."""
        first, second = await self.make(3000), await self.make(3000)
        await self.attach(first)
        before = self.disks.all()
        self.disks.load(Repairs())
        self.assertEqual(self.disks.all(), before)
        self.assertEqual(self.disks.attached_to(first), "vm-1")
        self.assertIsNone(self.disks.attached_to(second))

    async def test_what_cannot_be_read_is_left_alone(self) -> None:
        """A disk whose record cannot be read is left as it is, and the others are known."""
        good, bad = await self.make(), await self.make()
        (self.depot.disks / bad / "disk.json").write_text("{ cut short")
        (self.depot.disks / "disk-empty").mkdir()
        (self.depot.disks / "disk-odd").mkdir()
        (self.depot.disks / "disk-odd" / "disk.json").write_text('{"schema": 1}')
        (self.depot.disks / "disk-more").mkdir()
        more = {**disk().to_json(), "unheard_of": 1}
        (self.depot.disks / "disk-more" / "disk.json").write_text(json.dumps(more))
        (self.depot.snapshots / "snapshot-bad").mkdir()
        await self.begin()
        self.assertEqual([each.disk_cid for each in self.disks.all()], [good])
        self.assertTrue((self.depot.disks / bad / "image").exists())
        self.assertEqual(len(os.listdir(self.depot.disks)), 5)

    async def test_disks_of_a_vm_that_is_gone(self) -> None:
        """Disks of a VM that is gone are free again, with all that is on them."""
        disk_cid = await self.make()
        await self.attach(disk_cid)
        await self.begin()
        self.assertIsNone(self.disks.attached_to(disk_cid))
        self.assertTrue((self.depot.disks / disk_cid / "image").exists())

    async def test_a_disk_that_cannot_be_freed(self) -> None:
        """A disk that cannot be taken from a VM that is gone does not stop the start."""
        disk_cid = await self.make()
        await self.attach(disk_cid)
        self.script.failing = {"detach": CloudError("no")}
        await self.begin()
        self.assertEqual(self.disks.attached_to(disk_cid), "vm-1")

    async def test_a_crash_while_a_disk_is_made(self) -> None:
        """After a crash in a creation no half of a disk is among the disks."""
        self.crash_at_record()
        with self.assertRaises(Crash):
            await self.make()
        self.assertEqual(os.listdir(self.depot.disks), [])

    async def test_a_crash_before_the_record_of_an_attachment(self) -> None:
        """The VM sees nothing of a disk before the record names the VM."""
        disk_cid = await self.make()
        self.crash_at_record()
        with self.assertRaises(Crash):
            await self.attach(disk_cid)
        self.assertEqual(self.script.done, ["create"])
        self.assertIsNone(self.record(disk_cid).attached_to)

    async def test_a_crash_after_the_record_of_an_attachment(self) -> None:
        """The record names the VM before the driver shows the VM the disk."""
        disk_cid = await self.make()
        owners: list[str | None] = []
        attach = self.driver.attach

        def observe(path: Path, *rest: Any) -> Any:
            owners.append(self.record(disk_cid).attached_to)
            return attach(path, *rest)

        self.patch(self.driver, "attach", observe)
        await self.attach(disk_cid)
        self.assertEqual(owners, ["vm-1"])

    async def test_a_crash_within_a_detachment(self) -> None:
        """The record names the VM until the VM does not see the disk any more."""
        disk_cid = await self.make()
        await self.attach(disk_cid)
        self.crash_at_record()
        with self.assertRaises(Crash):
            await self.detach(disk_cid)
        self.assertEqual(self.seen(), set())
        self.assertEqual(self.record(disk_cid).attached_to, "vm-1")
        self.assertEqual(self.disks.attached_to(disk_cid), "vm-1")

    async def test_a_crash_within_a_growth(self) -> None:
        """A growth that a crash cut off leaves the old size, and can be repeated."""
        disk_cid = await self.make(1024)
        patch = self.crash_at_record()
        with self.assertRaises(Crash):
            await self.disks.resize(disk_cid, 2048, None)
        patch.restore()
        await self.begin()
        await self.disks.resize(disk_cid, 2048, None)
        self.assertEqual(self.record(disk_cid).size, 2048)

    async def test_loop_devices_and_the_like(self) -> None:
        """At a start the driver keeps what it has for attached disks only."""
        free, had = await self.make(), await self.make()
        await self.attach(had)
        self.script.failing = {"detach": CloudError("no")}
        await self.begin()
        self.assertEqual(self.driver.kept, [had])
        self.assertNotEqual(free, had)

    def crash_at_record(self) -> Any:
        """Have the daemon end where it would write a record."""

        def crash(path: Path, record: Any) -> None:
            raise Crash

        return self.patch(records, "write_record", crash)


class Crash(BaseException):
    """The end of a daemon, which nothing that it does can hold up."""
