"""What no caller knows is removed: the executable's answer reaches nobody."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from runc_cpi.cpi import client as client_module
from runc_cpi.cpi import silence
from runc_cpi.cpi.client import Client
from runc_cpi.cpi.config import load
from runc_cpi.cpi.methods import MAKING
from runc_cpi.errors import DaemonSilent
from tests.harness.cpi import ENVIRONMENT, EXECUTABLE
from tests.harness.daemon import Daemon, manual, vm_arguments
from tests.harness.lab import NewDaemon
from tests.harness.waiting import eventually
from tests.harness.wrapper import Wrapper

PATIENCE = 60
METHODS = (
    *("create_vm", "create_disk", "create_stemcell", "snapshot_disk"),
    "create_network",
)


@pytest.fixture(params=["unix", "tcp"])
def served(new_daemon: NewDaemon, request: pytest.FixtureRequest) -> Daemon:
    """A daemon that is reached in each of two ways."""
    return new_daemon(network_type=request.param).start()


def arguments_of(daemon: Daemon, method: str, tiny: Path) -> list[Any]:
    """Return the arguments of a call that makes something, and make what it needs."""
    if method == "create_stemcell":
        return [str(tiny), {}]
    if method == "create_vm":
        return vm_arguments(daemon.create_stemcell(tiny))
    if method == "create_disk":
        return [16, {}]
    if method == "create_network":
        return [{"type": "manual", "range": "10.246.0.0/24", "cloud_properties": {}}]
    return [daemon.cpi.ok("create_disk", 16, {}), {}]


def start(daemon: Daemon, stdout: int | None, method: str, *arguments: Any) -> Any:
    """Start the executable with a stdout of the test's, or with a closed one."""

    def prepare() -> None:
        # If the tests run in the background, SIGINT is ignored.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        if stdout is None:
            os.close(1)

    process = subprocess.Popen(
        [str(EXECUTABLE), str(daemon.home / "cpi.json")],
        env=ENVIRONMENT,
        stdin=subprocess.PIPE,
        stdout=stdout,
        stderr=subprocess.PIPE,
        preexec_fn=prepare,
    )
    assert process.stdin is not None
    context = {"request_id": "cpi-lost"}
    request = {"method": method, "arguments": arguments, "context": context}
    process.stdin.write(json.dumps({**request, "api_version": 2}).encode())
    process.stdin.close()
    process.stdin = None
    return process


def end(process: subprocess.Popen[bytes]) -> bytes:
    """Wait for the executable's end, and return its complaint."""
    try:
        return process.communicate(timeout=PATIENCE)[1]
    finally:
        process.kill()
        process.wait()


@contextmanager
def nobody_reads() -> Iterator[int]:
    """A pipe whose reading end is closed."""
    reading, writing = os.pipe()
    os.close(reading)
    yield writing
    os.close(writing)


@contextmanager
def full_pipe() -> Iterator[tuple[int, int]]:
    """A full pipe, which takes more only when somebody reads from it."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    try:
        while True:
            os.write(writing, bytes(4096))
    except BlockingIOError:
        os.set_blocking(writing, True)
    try:
        yield reading, writing
    finally:
        os.close(reading)
        os.close(writing)


def made(daemon: Daemon) -> set[str]:
    """Return all cids that there are."""
    kinds = ("vms", "disks", "stemcells", "snapshots", "networks")
    return {path.name for kind in kinds for path in (daemon.work_dir / kind).iterdir()}


def has_more(daemon: Daemon, before: set[str]) -> bool:
    """Say whether there is something that was not there before."""
    return made(daemon) > before


def assert_undone(daemon: Daemon, before: set[str], times: int = 1) -> None:
    """Check that what was made is removed, and that the log names the request."""

    def told() -> list[str]:
        return [line for line in daemon.log.splitlines() if "nobody was told" in line]

    eventually(lambda: len(told()) == times, "it is noticed", PATIENCE)
    eventually(lambda: made(daemon) == before, "it is removed", PATIENCE)
    eventually(lambda: not list(daemon.scratch.iterdir()), "wholly", PATIENCE)
    assert "[cpi-lost]" in told()[-1]


def test_nobody_reads_the_answer(served: Daemon, tiny: Path) -> None:
    """If nobody reads the executable's answer any more, what it made is removed."""
    for times, method in enumerate(METHODS, 1):
        arguments = arguments_of(served, method, tiny)
        before = made(served)
        with nobody_reads() as stdout:
            process = start(served, stdout, method, *arguments)
            complaint = end(process)
        assert process.returncode == 1
        assert b"cannot write the response" in complaint
        assert_undone(served, before, times)


def test_killed_with_the_answer_in_hand(served: Daemon, tiny: Path) -> None:
    """
    If the executable is killed after the daemon's answer, before its own, all is removed.
    """
    for times, method in enumerate(METHODS, 1):
        arguments = arguments_of(served, method, tiny)
        before = made(served)
        with full_pipe() as (_, stdout):
            process = start(served, stdout, method, *arguments)
            eventually(partial(has_more, served, before), "it is made", PATIENCE)
            process.kill()
            end(process)
        assert_undone(served, before, times)


@pytest.mark.parametrize("stdout", ["full", "closed"])
def test_an_answer_that_cannot_be_written(daemon: Daemon, tiny: Path, stdout: str) -> None:
    """
    If the answer cannot be written, to a full disk or a closed stdout, all is removed.
    """
    arguments = arguments_of(daemon, "create_disk", tiny)
    if stdout == "full":
        with open("/dev/full", "wb") as full:
            process = start(daemon, full.fileno(), "create_disk", *arguments)
    else:
        process = start(daemon, None, "create_disk", *arguments)
    assert b"cannot write the response" in end(process)
    assert process.returncode == 1
    assert_undone(daemon, set())


def test_the_address_is_free_again(daemon: Daemon, tiny: Path) -> None:
    """After Ctrl-C of bosh create-env the address is free for the next try."""
    network = {"n": manual(f"{daemon.network}9")}
    arguments = vm_arguments(daemon.create_stemcell(tiny), network)
    before = made(daemon)
    with nobody_reads() as stdout:
        end(start(daemon, stdout, "create_vm", *arguments))
    assert_undone(daemon, before)
    daemon.vm(daemon.cpi.ok("create_vm", *arguments))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted(
    new_daemon: NewDaemon, tmp_path: Path, tiny: Path, number: signal.Signals
) -> None:
    """The daemon undoes a call that its caller gives up."""
    wrapper = Wrapper(tmp_path / "wrapper")
    daemon = new_daemon(config={"runtime": str(wrapper.program)}).start()
    arguments = vm_arguments(daemon.create_stemcell(tiny))
    before = made(daemon)
    wrapper.hold("start")
    process = start(daemon, subprocess.PIPE, "create_vm", *arguments)
    eventually(lambda: wrapper.is_waiting("start"), "start is called", PATIENCE)
    process.send_signal(number)
    end(process)
    wrapper.mend()
    assert_undone(daemon, before)


def test_a_stop_waits_for_the_receipt(new_daemon: NewDaemon) -> None:
    """An answer that is passed on while the daemon stops keeps what was made."""
    daemon = new_daemon(config={"limits": {"finish_seconds": PATIENCE}}).start()
    with full_pipe() as (reading, stdout):
        process = start(daemon, stdout, "create_disk", 16, {})
        eventually(lambda: made(daemon), "it is made", PATIENCE)
        assert daemon.process is not None
        daemon.process.send_signal(signal.SIGTERM)
        eventually(lambda: not daemon.socket.exists(), "no more calls are taken", PATIENCE)
        os.set_blocking(reading, False)
        answer = b""

        def read() -> bool:
            nonlocal answer
            with suppress(BlockingIOError):
                answer += os.read(reading, 1 << 20).lstrip(b"\0")
            return answer.endswith(b"\n")

        eventually(read, "it is told", PATIENCE)
        end(process)
    daemon.process.wait(PATIENCE)
    daemon.process = None
    assert made(daemon) == {json.loads(answer)["result"]}
    assert "nobody was told" not in daemon.log


def client(daemon: Daemon, *, confirms: bool) -> Client:
    """Connect as the executable does."""
    confirmed = MAKING if confirms else None
    return Client(load(str(daemon.home / "cpi.json"), {}), "cpi-lost", confirmed)


@pytest.mark.parametrize("confirms", [True, False])
def test_a_receipt(served: Daemon, confirms: bool) -> None:
    """What was confirmed stays, and so does what a client without receipts made."""
    caller = client(served, confirms=confirms)
    cid = caller.call("CreateDisk", size=16, cloud_properties={})[b"disk_cid"].decode()
    caller.confirm()
    caller.close()
    # A call on another connection, so that the end of the first one is seen.
    before = client(served, confirms=True)
    before.call("CreateDisk", size=16, cloud_properties={})
    before.close()
    assert_undone(served, {cid})


def test_a_daemon_that_is_stopped(served: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    """The caller does not wait for it for long, and what it makes later is removed."""
    caller = client(served, confirms=True)
    caller.call("Ping")
    assert served.process is not None
    # Only now, as one that runs may take longer to answer.
    monkeypatch.setattr(client_module, "SILENCE", 0.2)
    monkeypatch.setattr(silence, "PING_TIMEOUT", 0.5)
    caller._socket.settimeout(client_module.SILENCE)
    served.process.send_signal(signal.SIGSTOP)
    try:
        with pytest.raises(DaemonSilent):
            caller.call("CreateDisk", size=16, cloud_properties={})
        caller.close()
    finally:
        served.process.send_signal(signal.SIGCONT)
    assert_undone(served, set())


def test_a_silent_caller(new_daemon: NewDaemon) -> None:
    """
    If a caller is cut off for its silence, what it made stays, since it may have told of
    it.
    """
    daemon = new_daemon(config={"limits": {"idle_seconds": 1}}).start()
    caller = client(daemon, confirms=True)
    cid = caller.call("CreateDisk", size=16, cloud_properties={})[b"disk_cid"].decode()
    eventually(lambda: f"{cid} stays" in daemon.log, "it is cut off", PATIENCE)
    caller.close()
    assert daemon.cpi.ok("has_disk", cid) is True
