"""Whatever is sent to the daemon, it answers, and touches nothing but its own files."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings

from runc_cpi import wire
from runc_cpi.errors import BY_CODE
from tests.functional.security import hostile
from tests.functional.security.peers import (
    connected,
    descriptors,
    descriptors_at_rest,
    memory,
)
from tests.harness.daemon import Daemon, vm_arguments
from tests.harness.lab import Lab
from tests.harness.waiting import eventually

pytestmark = pytest.mark.timeout(300)

ARGUMENT_SETS, CONNECTIONS = 140, 360
LONG = 3  # times as many, with --long
GROWTH = 48 * 1024  # KiB
WATCHED = ("/etc", "/usr/bin", "/usr/sbin", "/boot", "/root/.ssh")
KNOWN_CODES = {*map(str.encode, BY_CODE), b"UNHANDLED"}
# The same in each run, and not minimized: the failure shows what was sent.
FIXED: dict[str, Any] = {
    "derandomize": True,
    "database": None,
    "deadline": None,
    "phases": [Phase.generate],
    "suppress_health_check": list(HealthCheck),
}


def traces(*tops: Path) -> dict[str, tuple[int, ...]]:
    """Describe all that is below some directories."""
    found: dict[str, tuple[int, ...]] = {}
    for top in tops:
        for directory, _, files in os.walk(top):
            for path in [directory, *(os.path.join(directory, file) for file in files)]:
                with suppress(FileNotFoundError):
                    status = os.lstat(path)
                    found[path] = (
                        status.st_mode,
                        status.st_uid,
                        status.st_size,
                        status.st_mtime_ns,
                        status.st_ino,
                        status.st_nlink,
                    )
    return found


class Target:
    """
    A daemon under attack.

    @ivar canary: a directory that is not the daemon's. @ivar real: ids of a VM, its
    stemcell and a disk that exist.
    """

    def __init__(self, daemon: Daemon, tiny: Path) -> None:
        self.daemon, self._tiny = daemon, tiny
        self.canary = daemon.home / "canary"
        self.canary.mkdir(mode=0o755)
        for name in ("kept", "passwd"):
            (self.canary / name).write_text("untouched")
        self.real = dict.fromkeys(("stemcell_cid", "vm_cid", "disk_cid"), "none")

    def provide(self) -> None:
        """Make what is missing: a call with its id may have deleted it."""
        daemon, real = self.daemon, self.real
        if not (daemon.work_dir / "stemcells" / real["stemcell_cid"]).exists():
            real["stemcell_cid"] = daemon.create_stemcell(self._tiny)
        if not daemon.cpi.ok("has_vm", real["vm_cid"]):
            real["vm_cid"] = daemon.create_vm(real["stemcell_cid"]).cid
        if not daemon.cpi.ok("has_disk", real["disk_cid"]):
            real["disk_cid"] = daemon.cpi.ok("create_disk", 16, {})

    def exchange(self, sent: list[bytes], end: bytes = b"") -> list[dict[bytes, bytes]]:
        """
        Send messages over a new connection, and read the answers.

        @param end: what to send last, before the connection is shut down for writing. With
        it the daemon may close the connection before.
        """
        received: list[dict[bytes, bytes]] = []
        with connected(self.daemon) as connection, connection.makefile("rb") as stream:
            try:
                connection.sendall(b"".join(sent))
                while len(received) < len(sent):
                    received.append(wire.read_box(stream))
                connection.sendall(end)
                connection.shutdown(socket.SHUT_WR)
                while True:
                    received.append(wire.read_box(stream))
            except (EOFError, OSError):
                assert end or len(received) == len(sent), (len(received), sent)
        return received

    def clear(self) -> None:
        """Remove what was made by chance."""
        with self.daemon.connection() as client:
            vms = json.loads(wire.join(b"vms", client.call("ListVMs")) or b"")
            for vm in vms:
                if vm["vm_cid"] != self.real["vm_cid"]:
                    client.call("DeleteVM", vm_cid=vm["vm_cid"])
            disks = json.loads(wire.join(b"disks", client.call("ListDisks")) or b"")
            for disk in disks:
                if disk["disk_cid"] != self.real["disk_cid"] and not disk["attached_to"]:
                    client.call("DeleteDisk", disk_cid=disk["disk_cid"])


@pytest.fixture(autouse=True)
def leaves_nothing() -> None:
    """Check for leftovers after the last test; until then the tests share what is made."""


@pytest.fixture(scope="module")
def target(lab: Lab, tiny: Path) -> Iterator[Target]:
    """A daemon for all tests here."""
    with lab.daemons() as new_daemon:
        daemon = new_daemon(network_type="tcp").start()
        target = Target(daemon, tiny)
        yield target
        with daemon.connection() as client:
            for disk in json.loads(wire.join(b"disks", client.call("ListDisks")) or b""):
                if disk["attached_to"]:
                    cids = {"vm_cid": disk["attached_to"], "disk_cid": disk["disk_cid"]}
                    client.call("DetachDisk", **cids)


@pytest.fixture
def times(pytestconfig: pytest.Config) -> int:
    """How many times as much is tried."""
    return LONG if pytestconfig.getoption("--long") else 1


@pytest.fixture
def unharmed(target: Target) -> Iterator[None]:
    """Check afterwards that the daemon, and all that is not its own, is as it was."""
    target.provide()
    daemon = target.daemon
    watched = [target.canary, *map(Path, WATCHED)]
    before, process = descriptors_at_rest(daemon), daemon.process
    size, begin, found = memory(daemon), len(daemon.log), traces(*watched)
    yield
    assert daemon.process is process
    assert daemon.is_running, daemon.log[-3000:]
    assert daemon.cpi.ok("ping") == "pong"
    target.clear()
    log = daemon.log[begin:]
    assert "Traceback" not in log, log[log.index("Traceback") - 1500 :][:4000]
    assert "Unhandled error" not in log
    assert traces(*watched) == found
    eventually(lambda: descriptors(daemon) <= before, "all is closed", 20)
    eventually(lambda: not list(daemon.scratch.iterdir()), "all is cleared away", 20)
    grown = memory(daemon) - size
    print(f"the daemon grew by {grown} KiB, from {size} KiB, and logged {len(log)} bytes")
    assert grown < GROWTH


def check(answers: list[dict[bytes, bytes]]) -> None:
    """Check that each error is an intended one, with a text of bounded length."""
    for answer in answers:
        if b"_error" in answer:
            text = answer[b"_error_description"].decode("utf-8")
            assert answer[b"_error_code"] in KNOWN_CODES, answer
            assert "internal error" not in text, answer
            assert len(text) <= 5000


def test_commands(target: Target, unharmed: None, times: int) -> None:
    """Each command with arguments of every kind is answered."""
    count = {"sent": 0, "refused": 0}

    @hypothesis_settings(max_examples=ARGUMENT_SETS * times, **FIXED)
    @given(hostile.argument_sets(target.real))
    def attack(arguments: dict[str, bytes]) -> None:
        calls = list(hostile.calls(arguments))
        answers = target.exchange(calls)
        check(answers)
        count["sent"] += len(calls)
        count["refused"] += sum(b"_error" in answer for answer in answers)

    attack()
    print("{sent} calls, {refused} of them refused".format(**count))
    assert count["sent"] >= 3_000 * times
    assert count["sent"] * 0.5 < count["refused"] < count["sent"]


def test_bytes(target: Target, unharmed: None, times: int) -> None:
    """Framed messages with odd contents, and bytes that are no message, do no harm."""
    random, sent, answered = Random(5), 0, 0
    for _ in range(CONNECTIONS * times):
        messages, end = hostile.messages(random), hostile.no_message(random)
        answers = target.exchange(messages, end)
        check(answers)
        sent += len(messages) + 1
        answered += len(answers)
    print(f"{sent} messages, {answered} of them answered")
    assert sent >= 3_000 * times
    assert answered > sent // 2


def test_archives_ids_and_settings(
    target: Target, unharmed: None, busybox: bytes, times: int
) -> None:
    """No member of an archive, no id and no setting leads out of the daemon's directory."""
    count = {"archives": 0, "stemcells": 0, "ids": 0, "settings": 0, "vms": 0}
    with target.daemon.connection() as client:

        def refused(command: str, **arguments: Any) -> bool:
            with suppress(*BY_CODE.values()):
                client.call(command, **arguments)
                return False
            return True

        for data in hostile.archives(str(target.canary), busybox, every=times > 1):
            count["archives"] += 1
            upload = int(client.call("OpenStemcell", cloud_properties={})[b"upload"])
            with suppress(*BY_CODE.values()):
                for at in range(0, len(data) or 1, wire.MAX_VALUE):
                    piece = data[at : at + wire.MAX_VALUE]
                    client.call("WriteStemcell", upload=upload, data=piece)
                cid = client.call("CloseStemcell", upload=upload)[b"stemcell_cid"].decode()
                count["stemcells"] += 1
                booted = not refused("CreateVM", **vm(cid, init="runit"))
                count["vms"] += booted
                if booted:
                    target.clear()
                assert not refused("DeleteStemcell", stemcell_cid=cid)
        for cid in hostile.IDS:
            for call in by_id(cid):
                call(client)
                count["ids"] += 1
        for reference in hostile.REFERENCES:
            assert refused("FetchStemcell", cloud_properties={"image_reference": reference})
            count["settings"] += 1
        for changes in hostile.settings():
            arguments = vm(target.real["stemcell_cid"]) | changes
            assert refused("CreateVM", **arguments), changes
            count["settings"] += 1
    print(", ".join(f"{number} {what}" for what, number in count.items()))
    assert count["archives"] + count["ids"] + count["settings"] >= 500
    assert count["archives"] >= 200
    assert count["stemcells"] > 50
    assert count["vms"] > 10


@pytest.mark.parametrize("name", ["dev", "proc", "sys"])
def test_links_that_a_vm_leaves(target: Target, unharmed: None, name: str) -> None:
    """If root in a VM puts a link where the runtime mounts, the next boot replaces it."""
    vm_cid = target.daemon.create_vm(target.real["stemcell_cid"]).cid
    for where in (str(target.canary), "../../../../.." + str(target.canary)):
        place = target.daemon.work_dir / "vms" / vm_cid / "upper" / name
        if place.is_dir():
            place.rmdir()
        place.symlink_to(where)
        target.daemon.cpi.ok("reboot_vm", vm_cid)
        assert place.is_dir()
        assert not place.is_symlink()


def vm(stemcell_cid: str, **properties: Any) -> dict[str, Any]:
    """Return the arguments of CreateVM."""
    names = ("agent_id", "stemcell_cid", "cloud_properties", "networks", "disk_cids", "env")
    given = vm_arguments(stemcell_cid, cloud_properties=properties)
    return dict(zip(names, given, strict=True)) | {"agent": {}}


def by_id(cid: str) -> Iterator[Callable[[Any], None]]:
    """Return calls about things that do not exist."""
    for command, name in (
        ("DeleteVM", "vm_cid"),
        ("HasVM", "vm_cid"),
        ("RebootVM", "vm_cid"),
        ("GetDisks", "vm_cid"),
        ("DeleteStemcell", "stemcell_cid"),
        ("DeleteDisk", "disk_cid"),
        ("HasDisk", "disk_cid"),
        ("DeleteSnapshot", "snapshot_cid"),
        ("DeleteNetwork", "network_cid"),
    ):

        def call(client: Any, command: str = command, name: str = name) -> None:
            with suppress(*BY_CODE.values()):
                answer = client.call(command, **{name: cid})
                assert answer.get(b"exists", b"False") == b"False"

        yield call
