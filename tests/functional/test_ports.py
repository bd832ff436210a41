"""Published ports: who reaches them, and who does not."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from runc_cpi.daemon.host.network import libnftables, table
from tests.harness.daemon import Daemon, vm_arguments
from tests.harness.host import reboot_host
from tests.harness.lab import NewDaemon
from tests.harness.vm import VM
from tests.harness.world import (
    HOST,
    IMPATIENCE,
    PATIENCE,
    WORLD,
    ask,
    is_silent,
    new_socket,
    serving,
    world,
)

HERE = os.getpid()
LOOPBACK = "127.0.0.1"
ROUTE_LOCALNET = "/proc/sys/net/ipv4/conf/{}/route_localnet"


@pytest.fixture
def beyond(leaves_nothing: None) -> Iterator[int]:
    """A machine beyond the host."""
    with world() as pid:
        yield pid


@pytest.fixture
def stemcell(daemon: Daemon, tiny: Path) -> str:
    """A stemcell that boots at once."""
    return daemon.create_stemcell(tiny)


def publishing(daemon: Daemon, stemcell: str, *ports: Any) -> VM:
    """Make a VM with these ports."""
    return daemon.create_vm(stemcell, cloud_properties={"ports": list(ports)})


@pytest.mark.usefixtures("bridged")
def test_who_reaches_a_port(beyond: int, daemon: Daemon, stemcell: str) -> None:
    """
    A port is reached from beyond, from the host by each of its addresses, from another VM
    and from the VM itself; once the VM is deleted, nobody answers.
    """
    vm, other = publishing(daemon, stemcell, "8080:80"), daemon.create_vm(stemcell)
    gateway = daemon.network + "1"
    with serving(vm.pid, 80, "vm"):
        assert ask(beyond, HOST, 8080) == f"vm {WORLD}"
        assert ask(HERE, HOST, 8080) == f"vm {HOST}"
        for address in (LOOPBACK, "127.0.0.2"):
            assert ask(HERE, address, 8080) == f"vm {gateway}"
        for address in (HOST, gateway):
            # The host translates the first, unless it looks at what it bridges as well.
            sources = f"vm {gateway}", f"vm {other.address}"
            assert ask(other.pid, address, 8080) in sources
            assert ask(vm.pid, address, 8080) == f"vm {gateway}"
        assert ask(other.pid, vm.address, 80) == f"vm {other.address}"
        assert is_silent(beyond, HOST, 80)
    # The VM's loopback is its own.
    assert is_silent(vm.pid, LOOPBACK, 8080)
    daemon.cpi.ok("delete_vm", vm.cid)
    with serving(other.pid, 80, "other"):
        for pid in (HERE, beyond, other.pid):
            assert is_silent(pid, HOST, 8080)
    assert Path(ROUTE_LOCALNET.format(daemon.config["bridge"])).read_text() == "0\n"


def test_the_loopback_is_closed_without_the_table(daemon: Daemon, stemcell: str) -> None:
    """A bridge is no longer routed to the loopback, whoever removed the rules meanwhile."""
    setting = Path(ROUTE_LOCALNET.format(daemon.config["bridge"]))
    vm = publishing(daemon, stemcell, "8080:80")
    assert setting.read_text() == "1\n"
    libnftables.run(table.removal(table.name_of(daemon.work_dir)))
    daemon.cpi.ok("delete_vm", vm.cid)
    assert setting.read_text() == "0\n"
    daemon.kill()
    # This is what a crash can leave.
    setting.write_text("1")
    daemon.start()
    assert setting.read_text() == "0\n"


@pytest.mark.parametrize(
    ("ports", "asked", "answers"),
    [
        (["514:5140/udp"], 514, 5140),
        ([{"host": "1000-1010", "container": "2000-2010", "protocol": "udp"}], 1010, 2010),
    ],
)
def test_datagrams(
    beyond: int, daemon: Daemon, stemcell: str, ports: list[Any], asked: int, answers: int
) -> None:
    """Ports of UDP are published as those of TCP are."""
    vm = publishing(daemon, stemcell, *ports)
    with serving(vm.pid, answers, "vm", "udp"):
        for pid, address in ((beyond, HOST), (HERE, LOOPBACK), (vm.pid, HOST)):
            assert ask(pid, address, asked, "udp").startswith("vm ")
        assert is_silent(beyond, HOST, asked, "tcp")


def test_who_sends_all_the_time(beyond: int, daemon: Daemon, stemcell: str) -> None:
    """
    A sender of datagrams who never pauses reaches a VM that comes later, also one at
    another address; once a VM is deleted, it reaches nobody in its place.
    """
    with new_socket(beyond, "udp") as sender:
        sender.settimeout(PATIENCE)
        sender.connect((HOST, 514))

        def answer() -> str:
            with suppress(ConnectionRefusedError):
                sender.send(b"?")
            with suppress(OSError):
                return sender.recv(100).decode()
            return ""

        assert answer() == ""
        first = publishing(daemon, stemcell, "514:5140/udp", "600-700:600-700/udp")
        with serving(first.pid, 5140, "first", "udp"):
            assert answer() == f"first {WORLD}"
        daemon.cpi.ok("delete_vm", first.cid)
        with stranger(daemon, stemcell, first.address):
            sender.settimeout(IMPATIENCE)
            assert answer() == ""
            sender.settimeout(PATIENCE)
            second = publishing(daemon, stemcell, "514:5141/udp")
            with serving(second.pid, 5141, "second", "udp"):
                assert answer() == f"second {WORLD}"
                libnftables.run(table.removal(table.name_of(daemon.work_dir)))
                answer()
                with daemon.connection() as client:
                    client.call("Repair")
                assert answer() == f"second {WORLD}"


@contextmanager
def stranger(daemon: Daemon, stemcell: str, address: str) -> Iterator[None]:
    """Have a VM that answers at an address that another one had."""
    vm = daemon.create_vm(stemcell)
    assert vm.address == address
    with serving(vm.pid, 5140, "stranger", "udp"):
        yield


def test_ranges(beyond: int, daemon: Daemon, stemcell: str) -> None:
    """Each port of a range leads to the port in the same place of the VM's range."""
    vm = publishing(daemon, stemcell, {"host": "1024:1123"}, "9000-9002:80-82")
    with serving(vm.pid, 1123, "last"), serving(vm.pid, 81, "middle"):
        assert ask(beyond, HOST, 1123) == f"last {WORLD}"
        assert ask(beyond, HOST, 9001) == f"middle {WORLD}"
        assert is_silent(beyond, HOST, 9000)


def test_one_address(beyond: int, daemon: Daemon, stemcell: str) -> None:
    """A port can be published at one address of the host alone."""
    first = publishing(daemon, stemcell, f"{LOOPBACK}:8080:80")
    second = publishing(daemon, stemcell, f"{HOST}:8080:80")
    with serving(first.pid, 80, "first"), serving(second.pid, 80, "second"):
        assert ask(HERE, LOOPBACK, 8080).startswith("first ")
        assert ask(beyond, HOST, 8080) == f"second {WORLD}"
        assert ask(HERE, HOST, 8080).startswith("second ")


def test_after_ends(beyond: int, daemon: Daemon, stemcell: str) -> None:
    """Ports are published after a restart of the daemon, and after a reboot of the host."""
    vm = publishing(daemon, stemcell, "8080:80")
    daemon.stop()
    with serving(vm.pid, 80, "vm"):
        assert ask(beyond, HOST, 8080) == f"vm {WORLD}"
        daemon.start()
        assert ask(HERE, LOOPBACK, 8080).startswith("vm ")
    reboot_host(daemon)
    daemon.recover()
    with serving(vm.pid, 80, "vm"):
        assert ask(beyond, HOST, 8080) == f"vm {WORLD}"
        assert ask(HERE, LOOPBACK, 8080).startswith("vm ")


@pytest.mark.parametrize("guard", ["rules", "filter"])
def test_the_hosts_loopback_is_its_own(
    new_daemon: NewDaemon, tiny: Path, guard: str
) -> None:
    """
    While the host reaches a VM from its loopback, VMs do not reach it there: the rules see
    to that, and without them the filter of frames does.
    """
    config = {"security": {"anti_spoofing": guard == "filter"}}
    daemon = new_daemon(config=config).start()
    vm = publishing(daemon, daemon.create_stemcell(tiny), f"{LOOPBACK}:8080:80")
    if guard == "filter":
        libnftables.run(table.removal(table.name_of(daemon.work_dir)))
    with serving(HERE, 9090, "host", address=LOOPBACK):
        # What a VM can do for it.
        vm.run("ip", "addr", "del", "127.0.0.1/8", "dev", "lo")
        vm.shell("echo 1 >/proc/sys/net/ipv4/conf/eth0/route_localnet")
        vm.run("ip", "route", "add", "127.0.0.0/8", "via", daemon.network + "1")
        assert is_silent(vm.pid, LOOPBACK, 9090)


def refused(daemon: Daemon, stemcell: str, ports: Sequence[Any]) -> str:
    """Return why a VM with these ports is refused; nothing is left of it."""
    before = daemon.vm_cids()
    arguments = vm_arguments(stemcell, cloud_properties={"ports": ports})
    error = daemon.cpi.error("create_vm", *arguments)
    assert daemon.vm_cids() == before
    assert error["type"] in ("Bosh::Clouds::CloudError", "Bosh::Clouds::CpiError")
    return str(error["message"])


def test_taken_ports(daemon: Daemon, stemcell: str) -> None:
    """An error names the VM or the process that has a port; once it is free, it is free."""
    vm = publishing(daemon, stemcell, "8080:80")
    for ports in (["8080:81"], ["127.0.0.1:8080:80"], [{"host": "8000-8100"}]):
        assert f"is published by {vm.cid}" in refused(daemon, stemcell, ports)
    daemon.cpi.ok("delete_vm", publishing(daemon, stemcell, "8080:80/udp").cid)
    with serving(HERE, 9000, "host"):
        message = refused(daemon, stemcell, ["9000:80"])
        assert f"port 9000/tcp is in use by process {HERE} " in message
        assert str(HERE) in refused(daemon, stemcell, [f"{LOOPBACK}:9000:80"])
    daemon.cpi.ok("delete_vm", vm.cid)
    publishing(daemon, stemcell, "8080:80", "9000:80")
    assert "198.51.100.1 is no address" in refused(daemon, stemcell, ["198.51.100.1:1:1"])


def test_ports_of_another_daemon(new_daemon: NewDaemon, tiny: Path) -> None:
    """A port that another daemon of the host publishes is refused, until it is free."""
    first, second = new_daemon().start(), new_daemon().start()
    stemcells = [daemon.create_stemcell(tiny) for daemon in (first, second)]
    vm = publishing(first, stemcells[0], "8080:80")
    own = table.name_of(first.work_dir)
    for ports in (["8080:81"], ["127.0.0.1:8080:80"], [{"host": "8000-8100"}]):
        message = refused(second, stemcells[1], ports)
        assert (
            f"is published by another runc-cpid of this host (nft list table inet {own})"
            in message
        )
    publishing(second, stemcells[1], "8080:80/udp", "8081:80")
    first.cpi.ok("delete_vm", vm.cid)
    publishing(second, stemcells[1], "8080:80")
