"""What tests of the reconciler share: a daemon with one VM, over fakes of the host."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path

from twisted.logger import capturedLogs, eventAsText
from twisted.trial.unittest import TestCase

from runc_cpi.daemon.storage.depot import Depot
from runc_cpi.daemon.storage.records import read_record
from runc_cpi.daemon.vms.vm import VM
from tests.fakes.assembly import Assembly, assemble, new_vm
from tests.fakes.script import Script


class ReconcileTestCase(TestCase):
    """One working directory, and daemons that run over it one after the other."""

    timeout = 20

    async def setUp(self) -> None:
        self.script = Script()
        self.depot = Depot(Path(os.path.abspath(self.mktemp())))
        self.depot.prepare()
        self.addCleanup(self.depot.release)
        stack = ExitStack()
        self.addCleanup(stack.close)
        self.events = stack.enter_context(capturedLogs())

    async def start(self, *, restart: bool = False) -> Assembly:
        """Start a daemon; after a reboot of the host, as its containers are gone."""
        parts = assemble(self.script, self.depot, restart=restart)
        self.parts, self.tasks, self.clock = parts, parts.tasks, parts.clock
        self.runtime, self.vms = parts.runtime, parts.vms
        self.repairs = await parts.load()
        return parts

    async def begin(self, *, restart: bool) -> VM:
        """Start a daemon, and create a VM."""
        parts = await self.start(restart=restart)
        image = os.open(os.devnull, os.O_RDONLY)
        try:
            stemcell = await parts.stemcells.create(image, {})
        finally:
            os.close(image)
        self.stemcell_cid = stemcell.cid
        return await self.vms.create(new_vm(self.stemcell_cid))

    def end(self, vm: VM, status: int | None) -> None:
        """Have a VM's first process end."""
        self.runtime.running.discard(vm.vm_cid)
        self.runtime.status = status
        self.runtime.watched.pop(vm.vm_cid).callback(True)

    async def settled(self, vm: VM) -> VM:
        """Wait until nothing is being done to a VM; return its record."""
        async with self.parts.locks.vm(vm.vm_cid):
            return VM.from_json(read_record(self.depot.vms / vm.vm_cid / "vm.json"))

    def log(self) -> list[str]:
        """Return the lines that were logged."""
        return [
            eventAsText(
                event, includeTraceback=False, includeTimestamp=False, includeSystem=False
            )
            for event in self.events
        ]
