"""Beside Docker, whose rules drop what is forwarded, and beside other firewalls."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from runc_cpi.daemon.host.network import sysctls
from tests.harness.daemon import Daemon, manual
from tests.harness.lab import NewDaemon
from tests.harness.world import HOST, WORLD, ask, is_silent, serving, world


def iptables(*arguments: str, program: str = "iptables") -> str:
    """Run iptables, or ip6tables."""
    argv = [program, "-w", *arguments]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout


@pytest.fixture
def beyond(leaves_nothing: None) -> Iterator[int]:
    """A machine beyond the host, which answers; the host drops what it is to forward."""
    with world() as pid, serving(pid, 80, "world"):
        iptables("-P", "FORWARD", "DROP")
        yield pid
        iptables("-P", "FORWARD", "ACCEPT")
        iptables("-F")
        iptables("-X")
        subprocess.run(["nft", "delete", "table", "ip", "filter"], check=False)
        # The host does not stop to forward beside such rules.
        sysctls.set_forwarding(4, on=False)


def test_beside_docker(beyond: int, daemon: Daemon, tiny: Path) -> None:
    """VMs reach each other and the world as without Docker, and its chain is as before."""
    iptables("-N", "DOCKER-USER")
    iptables("-A", "DOCKER-USER", "-j", "RETURN")
    iptables("-I", "FORWARD", "-j", "DOCKER-USER")
    before = iptables("-S")
    stemcell = daemon.create_stemcell(tiny)
    vm = daemon.create_vm(stemcell, cloud_properties={"ports": ["8080:80"]})
    other = daemon.create_vm(stemcell)
    assert ask(vm.pid, WORLD, 80) == f"world {HOST}"
    with serving(vm.pid, 80, "vm"):
        assert ask(beyond, HOST, 8080) == f"vm {WORLD}"
        assert ask(other.pid, vm.address, 80) == f"vm {other.address}"
        iptables("-F", "DOCKER-USER")
        assert is_silent(beyond, HOST, 8080)
        iptables("-A", "DOCKER-USER", "-s", f"{WORLD}/32", "-j", "DROP")
        with daemon.connection() as client:
            client.call("Repair")
        # What the operator forbids stays so.
        assert is_silent(beyond, HOST, 8080)
        iptables("-D", "DOCKER-USER", "-s", f"{WORLD}/32", "-j", "DROP")
        assert ask(beyond, HOST, 8080) == f"vm {WORLD}"
        way = ["ip", "route", "add", vm.address, "via", HOST]
        subprocess.run(["nsenter", f"--net=/proc/{beyond}/ns/net", *way], check=True)
        # Docker keeps strangers from what is not published.
        assert is_silent(beyond, vm.address, 80)
    iptables("-A", "DOCKER-USER", "-j", "RETURN")
    for each in (vm, other):
        daemon.cpi.ok("delete_vm", each.cid)
    assert iptables("-S") == before
    assert "another firewall" not in daemon.log


def test_beside_docker_with_ipv6(daemon: Daemon, tiny: Path) -> None:
    """Docker keeps networks of IPv6 apart by rules of their own, which VMs pass as well."""
    iptables("-P", "FORWARD", "DROP", program="ip6tables")
    iptables("-N", "DOCKER-USER", program="ip6tables")
    iptables("-I", "FORWARD", "-j", "DOCKER-USER", program="ip6tables")
    before = iptables("-S", program="ip6tables")
    try:
        stemcell = daemon.create_stemcell(tiny)
        networks = [
            {"n": manual(f"fd00::{n}", netmask="64", gateway="fd00::1")} for n in (2, 3)
        ]
        vm, other = (daemon.create_vm(stemcell, network) for network in networks)
        with serving(vm.pid, 80, "vm", address="::"):
            assert ask(other.pid, vm.address, 80) == f"vm {other.address}"
        for each in (vm, other):
            daemon.cpi.ok("delete_vm", each.cid)
        assert iptables("-S", program="ip6tables") == before
    finally:
        subprocess.run(["nft", "delete", "table", "ip6", "filter"], check=True)
        sysctls.set_forwarding(6, on=False)


def test_iptables_that_is_locked(
    beyond: int, new_daemon: NewDaemon, tiny: Path, tmp_path: Path
) -> None:
    """No call fails because others keep the lock of iptables; it is tried again."""
    program = tmp_path / "iptables"
    program.write_text("#!/bin/sh\necho it is locked >&2\nexit 4\n")
    program.chmod(0o755)
    daemon = new_daemon(path=f"{tmp_path}:{os.environ['PATH']}").start()
    iptables("-N", "DOCKER-USER")
    iptables("-I", "FORWARD", "-j", "DOCKER-USER")
    stemcell = daemon.create_stemcell(tiny)
    vm = daemon.create_vm(stemcell)
    assert "may stop what VMs send: iptables: exit status 4: it is locked" in daemon.log
    assert is_silent(vm.pid, WORLD, 80)
    program.unlink()
    daemon.create_vm(stemcell)
    assert ask(vm.pid, WORLD, 80) == f"world {HOST}"


def test_beside_others(beyond: int, daemon: Daemon, tiny: Path) -> None:
    """What another firewall stops is said once, with what to type, which helps."""
    stemcell = daemon.create_stemcell(tiny)
    vm = daemon.create_vm(stemcell)
    assert is_silent(vm.pid, WORLD, 80)
    (line,) = [line for line in daemon.log.splitlines() if "another firewall" in line]
    commands = line.rpartition("type: ")[2].split("; ")
    for command in commands:
        program, *arguments = command.split()
        assert program == "iptables"
        iptables(*arguments)
    assert ask(vm.pid, WORLD, 80) == f"world {HOST}"
    daemon.cpi.ok("delete_vm", vm.cid)
    daemon.create_vm(stemcell)
    assert daemon.log.count("another firewall") == 1
