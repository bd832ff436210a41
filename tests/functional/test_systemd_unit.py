"""The unit for systemd: its settings, and what the daemon tells systemd."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from runc_cpi.cpi import connecting, silence
from runc_cpi.daemon.host.disks import mountinfo
from tests.harness.images import PROJECT
from tests.harness.lab import NewDaemon
from tests.harness.waiting import eventually

UNIT = PROJECT / "operations/systemd/runc-cpid.service"
MOST_FILES = 64


def settings() -> dict[str, list[str]]:
    """Read the unit; a key may be there several times."""
    found: dict[str, list[str]] = {}
    for line in UNIT.read_text().splitlines():
        key, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found.setdefault(key, []).append(value)
    return found


@pytest.fixture
def notified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """The socket that systemd would listen at."""
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(path))
        listener.settimeout(20)
        monkeypatch.setenv("NOTIFY_SOCKET", str(path))
        monkeypatch.setenv("WATCHDOG_USEC", "400000")
        yield listener


def told(listener: socket.socket, what: str) -> float:
    """Wait for a message to systemd, and return when it came."""
    while listener.recv(4096).decode("ascii") != what:
        pass
    return time.monotonic()


def test_as_long_as_a_start() -> None:
    """The CPI does not give up a daemon that systemd still lets start."""
    (seconds,) = settings()["TimeoutStartSec"]
    assert float(seconds) <= connecting.START_TIMEOUT <= silence.PING_TIMEOUT


def test_what_vms_need_of_it() -> None:
    """
    By the unit's settings VMs outlive the service, and inherit no harmful restriction.
    """
    found = settings()
    assert found["KillMode"] == ["process"]
    assert found["Delegate"] == ["yes"]
    assert found["Restart"] == ["on-failure"]
    assert found["Type"] == ["notify"]
    for key in found:
        restricting = ("Protect", "Private", "SystemCall", "NoNew", "Lock", "Capability")
        assert not key.startswith(restricting)


def drain(listener: socket.socket) -> None:
    """Read what is there: the kernel keeps only a few messages that nobody reads."""
    timeout = listener.gettimeout()
    listener.setblocking(False)
    with suppress(BlockingIOError):
        while listener.recv(4096):
            pass
    listener.settimeout(timeout)


def test_in_step_with_systemd(
    new_daemon: NewDaemon, notified: socket.socket, image: Callable[[str], Path]
) -> None:
    """The daemon says when it is ready, that it is alive, and that it stops; VMs boot."""
    daemon = new_daemon()
    daemon.launch()
    told(notified, "READY=1")
    # After the message that it is ready, the first call is answered.
    assert daemon.cpi.ok("ping") == "pong"
    first = told(notified, "WATCHDOG=1")
    assert told(notified, "WATCHDOG=1") - first < 1
    vm = daemon.create_vm(daemon.create_stemcell(image("systemd")))
    assert vm.wait_for_agent() == "agent-1"
    assert "NOTIFY_SOCKET" not in vm.read("/proc/1/environ")
    daemon.cpi.ok("delete_vm", vm.cid)
    assert daemon.process is not None
    drain(notified)
    daemon.process.send_signal(signal.SIGTERM)
    told(notified, "STOPPING=1")
    daemon.process.wait(20)
    daemon.process = None


def kept(listener: socket.socket) -> set[str]:
    """Wait until systemd is given files to keep, and name them."""
    while True:
        message, files, _, _ = socket.recv_fds(listener, 4096, MOST_FILES)
        names = {os.readlink(f"/proc/self/fd/{file}") for file in files}
        for file in files:
            os.close(file)
        if message.startswith(b"FDSTORE=1\n"):
            assert b"FDNAME=writable" in message.split(b"\n")
            return names
        assert not names


def test_what_systemd_keeps(new_daemon: NewDaemon, notified: socket.socket) -> None:
    """
    While no daemon runs, systemd keeps the files that keep the host's cgroups writable.
    The next daemon gives it new ones, and lets go of what it inherits.
    """
    daemon = new_daemon()
    daemon.launch()
    held = kept(notified)
    daemon.wait_until(lambda: "serving at" in daemon.log)
    daemon.stop()
    table = mountinfo.read(os.getpid())
    cgroups = {
        f"{mount.point}/cgroup.procs" for mount in table if mount.filesystem == "cgroup2"
    }
    assert cgroups <= held
    drain(notified)
    passes = f'exec 3<{daemon.config_file}; LISTEN_PID=$$ LISTEN_FDS=1 exec "$@"'
    daemon.launch(prefix=("sh", "-c", passes, "systemd"))
    assert cgroups <= kept(notified)
    assert daemon.process is not None
    inherited = Path(f"/proc/{daemon.process.pid}/fd").iterdir()
    assert str(daemon.config_file) not in map(os.readlink, inherited)
    daemon.wait_until(lambda: daemon.log.count("serving at") == 2)
    found = settings()
    assert int(*found["FileDescriptorStoreMax"]) >= len(held)
    assert found["FileDescriptorStorePreserve"] == ["yes"]


def test_a_systemd_that_does_not_listen(
    new_daemon: NewDaemon, notified: socket.socket
) -> None:
    """The daemon goes on if systemd does not read its messages."""
    notified.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    daemon = new_daemon()
    daemon.launch()
    told(notified, "READY=1")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        other.setblocking(False)
        with pytest.raises(BlockingIOError):
            while other.sendto(b"X=1", notified.getsockname()):
                pass
    time.sleep(1)
    assert daemon.cpi.ok("ping") == "pong"


def test_a_daemon_that_hangs_says_nothing(
    new_daemon: NewDaemon, notified: socket.socket
) -> None:
    """A daemon that hangs sends no message, so systemd restarts it; VMs do not notice."""
    daemon = new_daemon()
    daemon.launch()
    told(notified, "READY=1")
    assert daemon.process is not None
    os.kill(daemon.process.pid, signal.SIGSTOP)
    notified.settimeout(1)
    with pytest.raises(TimeoutError):
        eventually(lambda: not notified.recv(4096), "what was told before is read")
    os.kill(daemon.process.pid, signal.SIGCONT)
    notified.settimeout(20)
    told(notified, "WATCHDOG=1")
