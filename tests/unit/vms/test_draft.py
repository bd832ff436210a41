"""The order in which a new VM comes onto the disk: its record is the last."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.trial.unittest import TestCase

from runc_cpi.daemon.storage.depot import Depot
from tests.fakes.assembly import Assembly, assemble, new_vm
from tests.fakes.script import Script


class DraftTests(TestCase):
    """Each fsync and rename of create_vm is noted, with what it is of."""

    timeout = 20

    async def create(self, root_disk_size: int | None) -> list[str]:
        """Create a VM, and return the steps that are about its files."""
        self.script = Script()
        depot = Depot(Path(os.path.abspath(self.mktemp())))
        depot.prepare()
        self.addCleanup(depot.release)
        parts: Assembly = assemble(self.script, depot, root_disk_size=root_disk_size)
        await parts.load()
        image = os.open(os.devnull, os.O_RDONLY)
        try:
            stemcell = await parts.stemcells.create(image, {})
        finally:
            os.close(image)
        steps: list[str] = []
        self.note(steps, "fsync", lambda fd: os.readlink(f"/proc/self/fd/{fd}"))
        self.note(steps, "rename", lambda _, target: str(target))
        act = self.script.act

        def acting(name: str, result: Any = None) -> Any:
            steps.append(name)
            return act(name, result)

        self.patch(self.script, "act", acting)
        vm = await parts.vms.create(new_vm(stemcell.cid))
        own = str(depot.vms / vm.vm_cid)
        return [step.replace(own, "VM") for step in steps]

    def note(self, steps: list[str], name: str, what: Callable[..., str]) -> None:
        """Have each call of a function of the system noted, and made."""
        function = getattr(os, name)

        def noting(*args: Any, **kwargs: Any) -> Any:
            steps.append(f"{name} {what(*args)}")
            return function(*args, **kwargs)

        self.patch(os, name, noting)

    def assert_in_order(self, steps: list[str], *wanted: str) -> None:
        """Check that these are among the steps, in this order."""
        places = [steps.index(step) for step in wanted]
        self.assertEqual(places, sorted(places), steps)

    async def test_with_a_root_disk(self) -> None:
        """The root disk, the draft, and the start of the VM come before the record."""
        steps = await self.create(64)
        draft, record = "fsync VM/vm.json.new", "rename VM/vm.json"
        self.assert_in_order(steps, "sync the root disk", draft, record, "fsync VM")
        self.assert_in_order(steps, "start", record)
        self.assertNotIn("fsync VM/layers/upper/etc/hosts", steps)

    async def test_without_a_root_disk(self) -> None:
        """Each file that the VM boots with comes before the draft, and its directory."""
        steps = await self.create(None)
        draft, record = "fsync VM/vm.json.new", "rename VM/vm.json"
        settings = "VM/upper/var/vcap/bosh/warden-cpi-agent-env.json"
        for step in (settings, "VM/upper/etc/hosts", "VM/upper/etc", "VM/work", "VM/data"):
            self.assert_in_order(steps, f"fsync {step}", draft, record, "fsync VM")
        self.assert_in_order(steps, "fsync VM/upper/etc/hosts", "fsync VM/upper")
