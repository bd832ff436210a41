"""A daemon for random calls, compared with a model after each."""

from __future__ import annotations

import json
import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from tests.harness.daemon import Daemon
from tests.harness.host import reboot_host
from tests.harness.vm import SETTINGS, VM
from tests.harness.waiting import eventually
from tests.reliability import guests, host
from tests.reliability.model import CREATING, after, refusal
from tests.reliability.world import World, observe

TOKEN = "/token"
TOLD = 30


class Ground:
    """
    A daemon, and the world as it should be.

    @ivar world: the world, by the model. @ivar steps: how many steps were taken, each of
    which came out as it should. @ivar failure: the step that did not come out as it should;
    nothing is done after it.
    """

    def __init__(self, daemon: Daemon) -> None:
        self.daemon, self.world = daemon, World()
        self.steps = 0
        self.failure: Exception | None = None
        self._done: Counter[str] = Counter()
        self._history: list[str] = []
        self._pids: dict[str, int] = {}
        self._marked: set[str] = set()
        # No call is to wait for a dead daemon.
        config = daemon.home / "cpi.json"
        told = json.loads(config.read_text())
        config.write_text(json.dumps({**told, "connect_timeout": 0}))

    def attempt(self, name: str, step: Callable[..., None], **drawn: Any) -> None:
        """Take a step, and compare everything with the model after it."""
        if self.failure is not None:
            return
        self._history.append(f"{name}: {drawn}")
        try:
            step(**drawn)
            self._check()
        except Exception as error:
            told = "\n".join([*self._history[-TOLD:], self.daemon.log[-3000:]])
            self.failure = AssertionError(told)
            self.failure.__cause__ = error
        else:
            self.steps += 1

    def account(self) -> str:
        """Return how often each kind of step was taken."""
        return ", ".join(f"{name} {count}" for name, count in self._done.most_common())

    def call(self, method: str, *arguments: Any, version: int = 2) -> Any:
        """Make a call, which must end as the model says; return its result."""
        self._done[method] += 1
        answer = self.daemon.cpi.call(method, *arguments, version=version)
        refused = refusal(self.world, method, list(arguments))
        if refused is not None:
            assert answer["error"] is not None, answer
            assert answer["error"]["type"] == refused.bosh_type, answer
            return None
        assert answer["error"] is None, answer
        self._expect(method, list(arguments), _cid(answer["result"]), version)
        return answer["result"]

    def refused(self, method: str, *arguments: Any) -> None:
        """Make a call that must be refused in every world."""
        self._done["bad calls"] += 1
        answer = self.daemon.cpi.call(method, *arguments)
        assert answer["error"] is not None
        assert answer["error"]["ok_to_retry"] is False

    def query(self, method: str, *arguments: Any) -> Any:
        """Make a call that changes nothing."""
        self._done[method] += 1
        answer = self.daemon.cpi.call(method, *arguments)
        refused = refusal(self.world, method, list(arguments))
        if refused is not None:
            assert answer["error"]["type"] == refused.bosh_type, answer
            return None
        assert answer["error"] is None, answer
        return answer["result"]

    def die(self, delay: float, method: str, *arguments: Any, version: int = 2) -> None:
        """
        Kill the daemon some time after a call was begun, and start it again.

        The call is carried out whole or not at all, and an answer must be right.
        """
        self._done["crash during a call"] += 1
        call = self.daemon.cpi.start(method, *arguments, version=version)
        # This waits for nothing: it spreads the moment of the kill over the call.
        time.sleep(delay)
        self.daemon.kill()
        answer = self.daemon.cpi.finish(call)
        self.daemon.recover()
        refused = refusal(self.world, method, list(arguments))
        told = answer["error"]
        if told is not None and not told["ok_to_retry"]:
            assert refused is not None, told
            assert told["type"] == refused.bosh_type
        if refused is not None:
            return
        if told is None:
            self._expect(method, list(arguments), _cid(answer["result"]), version)
        else:
            self._find_out(method, list(arguments), version)

    def _find_out(self, method: str, arguments: list[Any], version: int) -> None:
        """Find out what became of a call that was not answered."""
        world = observe(self.daemon)
        new = sorted(world.cids - self.world.cids)
        if method in CREATING and not new:
            return
        assert len(new) <= 1
        whole = after(self.world, method, arguments, "".join(new), told=version > 1)
        if world == whole:
            self._expect(method, arguments, "".join(new), version)

    def _expect(self, method: str, arguments: list[Any], cid: str, version: int) -> None:
        self.world = after(self.world, method, arguments, cid, told=version > 1)
        if method == "create_vm":
            self._booted(cid)
            self._file(cid).write_text(cid)
        elif method == "reboot_vm":
            self._booted(arguments[0])
        elif method == "create_disk":
            guests.mark(self.daemon.work_dir / "disks" / cid / "image", TOKEN, cid)
            self._marked.add(cid)

    def crash(self) -> None:
        """Kill the daemon while it has nothing to do, and start it."""
        self._done["crash"] += 1
        self.daemon.kill()
        self.daemon.recover()

    def restart(self) -> None:
        """Stop the daemon, and start it."""
        self._done["restart"] += 1
        self.daemon.stop()
        self.daemon.recover()

    def reboot_host(self) -> None:
        """Take away all that a reboot of the host takes, and start the daemon."""
        self._done["reboot of the host"] += 1
        for cid, vm in self.world.vms.items():
            if not vm.running:
                eventually(partial(self._is_noted, cid), f"{cid} is to stay stopped")
        reboot_host(self.daemon)
        self.daemon.recover()
        for cid, vm in self.world.vms.items():
            if vm.running:
                self._booted(cid)

    def end(self, cid: str) -> None:
        """Have a VM's first process end."""
        self._done["end of a VM"] += 1
        vm = self.vm(cid)
        os.kill(vm.pid, signal.SIGKILL)
        eventually(lambda: not vm.is_alive(), "it ends")
        facts = replace(self.world.vms[cid], running=False)
        self.world = replace(self.world, vms={**self.world.vms, cid: facts})

    def _is_noted(self, cid: str) -> bool:
        """Say whether the record has a VM as ended by itself."""
        record = self.daemon.work_dir / "vms" / cid / "vm.json"
        stopped: bool = json.loads(record.read_text())["stopped"]
        return stopped

    def vm(self, cid: str) -> VM:
        """Return a VM by its cid."""
        record = self.daemon.work_dir / "vms" / cid / "vm.json"
        return VM(cid, json.loads(record.read_text())["networks"], self.daemon.work_dir)

    def _booted(self, cid: str) -> None:
        """Note a VM's new first process, and check that its network works."""
        vm = self.vm(cid)
        assert guests.settings(vm)["vm"]["id"] == cid
        self._pids[cid] = vm.pid

    def _check(self) -> None:
        """Compare everything with the model."""
        world = observe(self.daemon)
        assert world == self.world
        assert host.differences(self.daemon, world) == []
        for cid, facts in world.vms.items():
            if facts.running:
                self._check_vm(cid)
        for cid in {*world.disks, *world.snapshots}:
            disk = world.snapshots.get(cid, cid)
            kind = "disks" if cid == disk else "snapshots"
            image = self.daemon.work_dir / kind / cid / "image"
            if disk in self._marked:
                assert guests.content(image, TOKEN) == disk

    def _check_vm(self, cid: str) -> None:
        vm = self.vm(cid)
        assert vm.pid == self._pids[cid]
        assert vm.is_alive()
        assert self._file(cid).read_text() == cid
        disks = self.world.disks_of(cid)
        assert guests.seen(vm) == set(disks)
        told = json.loads(vm.look(SETTINGS))["disks"]["persistent"]
        assert set(told) == {disk for disk, facts in disks.items() if facts.in_settings}

    def _file(self, cid: str) -> Path:
        return Path(f"/proc/{self.vm(cid).pid}/root{TOKEN}")

    def clear(self) -> None:
        """Delete everything."""
        for method, cids in (
            ("delete_vm", self.world.vms),
            ("delete_snapshot", self.world.snapshots),
            ("delete_disk", self.world.disks),
            ("delete_stemcell", self.world.stemcells),
            ("delete_network", self.world.networks),
        ):
            for cid in list(cids):
                self.call(method, cid)


def _cid(result: Any) -> str:
    """Return the cid in a call's result, if it has one."""
    found = result[0] if isinstance(result, list) and result else result
    return found if isinstance(found, str) else ""
