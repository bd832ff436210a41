"""An error with one thing is reported, and the others are still put right."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from twisted.internet.defer import CancelledError, fail
from twisted.trial.unittest import TestCase

from runc_cpi.daemon.base.repairs import Repairs
from runc_cpi.daemon.storage.depot import Depot
from runc_cpi.daemon.vms.vm import VM
from runc_cpi.errors import CloudError
from tests.fakes.assembly import Assembly, assemble, new_vm
from tests.fakes.script import Script


class AttemptTests(TestCase):
    """An error is noted with the name of the thing that it is about."""

    def test_errors_that_are_foreseen(self) -> None:
        """An error that is expected is noted with its message."""
        repairs = Repairs()
        for error in (CloudError("no"), FileNotFoundError("no"), ValueError("no")):
            with repairs.attempt("vm-1"):
                raise error
        self.assertEqual(repairs.problems, ["vm-1: no"] * 3)

    def test_errors_that_are_not(self) -> None:
        """An error that is not expected is noted, and logged as a bug."""
        repairs = Repairs()
        with repairs.attempt("vm-1"):
            raise KeyError("x")
        self.assertEqual(repairs.problems, ["vm-1: KeyError: 'x'"])
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)

    def test_what_ends_the_program(self) -> None:
        """An exit of the program is not held up."""
        with self.assertRaises(SystemExit), Repairs().attempt("vm-1"):
            raise SystemExit

    def test_a_cancellation(self) -> None:
        """The cancellation of a task is no error, and goes on to the task."""
        repairs = Repairs()
        with self.assertRaises(CancelledError), repairs.attempt("vm-1"):
            raise CancelledError
        self.assertEqual(repairs.problems, [])


class StartTests(TestCase):
    """A daemon that starts again over damaged files."""

    timeout = 60

    def setUp(self) -> None:
        self.depot = Depot(Path(os.path.abspath(self.mktemp())))
        self.depot.prepare()
        self.addCleanup(self.depot.release)

    async def begin(self, number: int) -> tuple[Assembly, list[VM]]:
        """Make a daemon's parts with some VMs."""
        parts = assemble(Script(), self.depot)
        await parts.load()
        with open(os.devnull, "rb") as image:
            stemcell = await parts.stemcells.create(image.fileno(), {})
        vms = [await parts.vms.create(new_vm(stemcell.cid)) for _ in range(number)]
        return parts, vms

    async def test_records_that_are_none(self) -> None:
        """Records that cannot be read are set aside, and the others are loaded."""
        _, (sound, broken) = await self.begin(2)
        (self.depot.vms / broken.vm_cid / "vm.json").write_text("[" * 200_000)
        for kind in ("stemcell", "disk", "snapshot"):
            directory = self.depot.work_dir / f"{kind}s" / f"{kind}-x"
            directory.mkdir()
            (directory / f"{kind}.json").write_text('{"schema":' * 200_000)
        (self.depot.vms / "file").touch()
        parts = assemble(Script(), self.depot)
        repairs = await parts.load()
        self.assertEqual([vm.vm_cid for vm in parts.vms.all()], [sound.vm_cid])
        for name in (broken.vm_cid, "stemcell-x", "disk-x", "snapshot-x", "file"):
            self.assertEqual(sum(name in text for text in repairs.problems), 1, name)

    async def test_a_vm_that_nobody_thought_of(self) -> None:
        """A VM that causes an unexpected error does not keep others from coming back."""
        _, (odd, *rest) = await self.begin(3)
        parts = assemble(Script(), self.depot)
        run = parts.guests.run

        def running(vm_cid: str, work: Any) -> Any:
            return fail(ZeroDivisionError()) if vm_cid == odd.vm_cid else run(vm_cid, work)

        self.patch(parts.guests, "run", running)
        repairs = await parts.load()
        await parts.reconciler.bring_back(repairs)
        self.assertTrue(all(odd.vm_cid in text for text in repairs.problems))
        self.assertEqual(len(repairs.problems), 2)
        self.assertTrue(all(parts.vms.is_running(vm.vm_cid) for vm in rest))
        self.assertFalse(parts.vms.is_running(odd.vm_cid))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)
