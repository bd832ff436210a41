"""What happened on a host, as its operator is told: past events, new ones, and calls."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, cast

from tests.harness.daemon import CONTROL, Daemon
from tests.harness.waiting import eventually

METADATA = {"director": "bosh", "deployment": "cf", "job": "db", "index": 0, "name": "db/0"}
ENV = {"bosh": {"groups": ["bosh", "cf", "db"], "password": "hunter2"}}
FILL = "busybox tail /dev/zero"
# A follower has 100 ms; a machine with much to do may take longer.
PROMPT, PATIENCE = 5.0, 30.0  # seconds


def events(daemon: Daemon, *filters: str) -> list[dict[str, Any]]:
    """Return what C{runc-cpictl events} tells."""
    answer = json.loads(daemon.control("events", "--output=json", *filters))
    return cast(list[dict[str, Any]], answer["events"])


def methods(daemon: Daemon, *filters: str) -> list[str]:
    """Return what happened, in a word each."""
    return [event["method"] for event in events(daemon, *filters)]


@contextmanager
def following(daemon: Daemon, *options: str) -> Iterator[subprocess.Popen[str]]:
    """Run C{runc-cpictl events -f}, and end it as Ctrl-C does, unless it has ended."""
    argv: list[str | Path] = [
        CONTROL,
        "--config",
        daemon.config_file,
        "events",
        "-f",
        *options,
    ]
    follower = subprocess.Popen(
        argv,
        stdout=subprocess.PIPE,
        text=True,
        # Tests in the background ignore it, and so would what they start.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )
    try:
        yield follower
    finally:
        follower.send_signal(signal.SIGINT)
        follower.wait(PATIENCE)
        assert follower.stdout is not None
        follower.stdout.close()


def test_what_happened(daemon: Daemon, tiny: Path) -> None:
    """Calls and what the daemon did by itself are told, also after it was killed."""
    stemcell = daemon.create_stemcell(tiny)
    vm = daemon.create_vm(stemcell, cloud_properties={"ram": 48}, env=ENV)
    daemon.cpi.ok("set_vm_metadata", vm.cid, METADATA)
    assert vm.attempt("/bin/busybox", "sh", "-c", FILL).returncode == 137
    eventually(lambda: "oom_kill" in methods(daemon), "the kill is an event")
    daemon.cpi.error("create_vm", "a", stemcell, {"ram": "much"}, {}, [], ENV)
    (failed,) = events(daemon, "--method=create_vm", "--outcome=failed", "-n1")
    assert (failed["error"], failed["request_id"]) == (
        "InvalidArgument",
        daemon.cpi.last_request_id,
    )
    assert "ram" in failed["text"]
    os.kill(vm.pid, signal.SIGKILL)
    eventually(lambda: "vm_ended" in methods(daemon), "the end is an event")
    daemon.kill()
    daemon.recover()
    daemon.cpi.ok("delete_vm", vm.cid)
    assert methods(daemon, "--cid", vm.cid) == [
        *("create_vm", "set_vm_metadata", "oom_kill", "vm_ended", "delete_vm"),
    ]
    assert methods(daemon, "--deployment=cf", "--instance=db/0")[-1] == "delete_vm"
    assert methods(daemon).count("started") == 2
    numbers = [event["number"] for event in events(daemon)]
    assert numbers == list(range(1, len(numbers) + 1))
    table = daemon.control("events", "-n2").splitlines()
    assert table[0].split()[:3] == ["TIME", "EVENT", "OUTCOME"]
    assert "cf db/0" in table[-1]
    assert "hunter2" not in daemon.control("events", "--since=1h") + daemon.log
    assert f"delete_vm begins: {vm.cid}" in daemon.log
    assert "delete_vm done in " in daemon.log


def test_followers(daemon: Daemon) -> None:
    """A follower sees a call at once, a document a line; calls under way are told."""
    with following(daemon, "-ojson", "-n1", "--method=has_vm") as follower:
        assert follower.stdout is not None
        daemon.cpi.ok("has_vm", "vm-first")
        first = json.loads(follower.stdout.readline())
        assert first["cids"] == ["vm-first"]
        with daemon.connection() as client:
            client.call("HasVM", vm_cid="vm-second")
            called = time.monotonic()
            second = json.loads(follower.stdout.readline())
            assert time.monotonic() - called < PROMPT
            assert second["cids"] == ["vm-second"]
        assert json.loads(daemon.control("calls", "-ojson")) == {"calls": [], "total": 0}
    assert follower.returncode == 0
    with following(daemon, "-n1") as follower:
        assert follower.stdout is not None
        assert "has_vm" in follower.stdout.readline()
        daemon.stop()
        assert follower.wait(PATIENCE) == 3
