"""
Beside Docker, firewalld and ufw themselves, as Debian has them.

Each test is skipped where its program is not installed.  The tests install none.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from runc_cpi.daemon.host.network import sysctls
from tests.harness.daemon import Daemon
from tests.harness.lab import NewDaemon
from tests.harness.vm import VM
from tests.harness.waiting import eventually
from tests.harness.world import HOST, WORLD, ask, is_silent, serving, world

# A mount namespace whose /etc and /run may be changed: the machine's own stay as they are.
PLACE = (
    "mount -t tmpfs place /mnt && mkdir /mnt/upper /mnt/work && mount -t overlay -o "
    "lowerdir=/etc,upperdir=/mnt/upper,workdir=/mnt/work place /etc && "
    "mount -t tmpfs place /run && mkdir /run/dbus && echo && exec sleep 1000000"
)
BUS = """\
<busconfig><type>system</type><listen>unix:path=/run/dbus/system_bus_socket</listen>
<policy context="default"><allow user="*"/><allow own="*"/><allow send_type="method_call"/>
<allow send_type="signal"/><allow send_requested_reply="true" send_type="method_return"/>
<allow send_requested_reply="true" send_type="error"/>
<allow receive_type="method_call"/><allow receive_type="method_return"/>
<allow receive_type="error"/><allow receive_type="signal"/></policy></busconfig>
"""
BRIDGED = Path("/proc/sys/net/bridge/bridge-nf-call-iptables")


class Place:
    """Where a firewall runs: in the network of the tests, with files of its own."""

    def __init__(self, pid: int, stack: ExitStack, home: Path) -> None:
        self._within = ["nsenter", f"--mount=/proc/{pid}/ns/mnt"]
        self._stack, self.home = stack, home

    def run(self, *argv: str) -> str:
        """Run a command, which must succeed."""
        outcome = self.attempt(*argv)
        assert outcome.returncode == 0, (argv, outcome.stdout, outcome.stderr)
        return outcome.stdout

    def attempt(self, *argv: str) -> subprocess.CompletedProcess[str]:
        """Run a command, whatever comes of it."""
        return subprocess.run(
            [*self._within, *argv],
            capture_output=True,
            text=True,
            timeout=60,
            stdin=subprocess.DEVNULL,
            check=False,
        )

    def start(self, *argv: str) -> None:
        """Start a daemon, until the end of the test."""
        log = self._stack.enter_context((self.home / f"{argv[0]}.log").open("wb"))
        process = subprocess.Popen([*self._within, *argv], stdout=log, stderr=log)

        def stop() -> None:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

        self._stack.callback(stop)

    def await_success(self, *argv: str) -> None:
        """Wait until a command succeeds."""
        eventually(lambda: self.attempt(*argv).returncode == 0, " ".join(argv), 30)


def docker(place: Place) -> None:
    """Start Docker."""
    socket = f"unix://{place.home}/s"
    place.start(
        *("dockerd", "--storage-driver=vfs", f"--host={socket}"),
        f"--data-root={place.home}/data",
        f"--exec-root={place.home}/exec",
        f"--pidfile={place.home}/pid",
    )
    place.await_success("docker", f"--host={socket}", "version")


def firewalld(place: Place) -> None:
    """Start firewalld, and the bus that it needs."""
    config = place.home / "bus.conf"
    config.write_text(BUS)
    place.start("dbus-daemon", f"--config-file={config}", "--nofork")
    place.await_success("test", "-S", "/run/dbus/system_bus_socket")
    place.start("firewalld", "--nofork", "--nopid")
    place.await_success("firewall-cmd", "--state")


def ufw(place: Place) -> None:
    """Turn ufw on, which is no daemon."""
    place.run("ufw", "--force", "enable")


FIREWALLS = {"dockerd": docker, "firewalld": firewalld, "ufw": ufw}


@contextmanager
def running(start: Callable[[Place], None], home: Path) -> Iterator[Place]:
    """Have a firewall; all its rules go at the end, for the network is the tests' own."""
    home.mkdir()
    with ExitStack() as stack:
        process = subprocess.Popen(
            ["unshare", "--mount", "--propagation", "slave", "sh", "-c", PLACE],
            stdout=subprocess.PIPE,
        )
        stack.callback(process.wait)
        stack.callback(process.kill)
        assert process.stdout is not None
        stack.enter_context(process.stdout)
        assert process.stdout.readline() == b"\n"
        stack.callback(_clear)
        place = Place(process.pid, stack, home)
        start(place)
        yield place


def _clear() -> None:
    subprocess.run(["nft", "flush", "ruleset"], check=True)
    subprocess.run(["ip", "link", "del", "docker0"], check=False, capture_output=True)
    with suppress(FileNotFoundError):
        BRIDGED.write_text("0")
    sysctls.set_forwarding(4, on=False)


def advised(daemon: Daemon) -> list[list[str]]:
    """Return the commands that the daemon's log says to type."""
    lines = [line for line in daemon.log.splitlines() if "another firewall" in line]
    texts = [line.rpartition("type: ")[2] for line in lines]
    return [command.split() for text in texts for command in text.split("; ")]


@pytest.mark.long
@pytest.mark.timeout(180)
@pytest.mark.parametrize("is_first", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("program", FIREWALLS)
def test_beside(
    new_daemon: NewDaemon,
    tiny: Path,
    tmp_path: Path,
    report: Callable[[str], None],
    program: str,
    is_first: bool,
) -> None:
    """
    VMs reach each other, the world and their gateway, and published ports answer, once the
    operator has typed what the log says; beside Docker that is nothing.
    """
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    daemon = new_daemon()
    with ExitStack() as stack:
        beyond = stack.enter_context(world())
        firewall = running(FIREWALLS[program], tmp_path / "place")
        if is_first:
            place = stack.enter_context(firewall)
        daemon.start()
        stemcell = daemon.create_stemcell(tiny)
        vm = daemon.create_vm(stemcell, cloud_properties={"ports": ["8080:80"]})
        other = daemon.create_vm(stemcell)
        if not is_first:
            place = stack.enter_context(firewall)
            repair(daemon)
        # Before the rules of the firewall go, which are those of the daemon as well.
        stack.callback(daemon.tear_down)
        stack.enter_context(serving(beyond, 80, "world"))
        stack.enter_context(serving(vm.pid, 80, "vm"))
        before = reached(daemon, vm, other, beyond)
        commands = advised(daemon)
        report(f"{program}: {before}; advised: {commands}")
        for command in commands:
            place.run(*command)
        for _ in range(2):
            assert all(reached(daemon, vm, other, beyond).values())
            repair(daemon)
        assert advised(daemon) == commands
        # What is not published is no more open than before.
        assert is_silent(beyond, HOST, 8081)


def repair(daemon: Daemon) -> None:
    """Have the daemon look again, as it does every few minutes."""
    with daemon.connection() as client:
        client.call("Repair")


def reached(daemon: Daemon, vm: VM, other: VM, beyond: int) -> dict[str, bool]:
    """Say which ways are open."""
    gateway = daemon.network + "1"
    with serving(os.getpid(), 9, "host", address=gateway):
        return {
            "out": ask(vm.pid, WORLD, 80, patience=1) == f"world {HOST}",
            "VM to VM": ask(other.pid, vm.address, 80, patience=1) == f"vm {other.address}",
            "port": ask(beyond, HOST, 8080, patience=1) == f"vm {WORLD}",
            "gateway": ask(vm.pid, gateway, 9, patience=1) == f"host {vm.address}",
        }
