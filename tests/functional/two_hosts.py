"""Daemons on two hosts that are peers, and whether VMs of both reach each other."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.harness.cpi import CPI
from tests.harness.daemon import Daemon
from tests.harness.hosts import HERE, Host, apart, in_one_network
from tests.harness.lab import NewDaemon
from tests.harness.vm import VM
from tests.harness.world import (
    ask,
    is_silent,
    new_namespace,
    serving,
)

PORT = 80


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[int]:
    """The pid of a process in the network namespace of another host."""
    with new_namespace() as pid:
        run(pid, "ip", "link", "set", "lo", "up")
        yield pid


@pytest.fixture
def neighbour(leaves_nothing: None, elsewhere: int) -> Iterator[Host]:
    """Another host, in the network of this one."""
    with in_one_network(elsewhere) as host, unchanged(host):
        yield host


@pytest.fixture
def far(leaves_nothing: None, elsewhere: int) -> Iterator[Host]:
    """Another host, beyond a router."""
    with apart(elsewhere) as host, unchanged(host):
        yield host


def run(pid: int, *argv: str) -> str:
    """Run a command in the network namespace of a process."""
    there = ["nsenter", f"--net=/proc/{pid}/ns/net", *argv]
    return subprocess.run(there, capture_output=True, text=True, check=True).stdout


def state(pid: int) -> list[str]:
    """Return the rules, interfaces and routes of the host that a process is on."""
    return [
        run(pid, *argv.split())
        for argv in (
            "nft --stateless list ruleset",
            "cut --delimiter=: --fields=1 /proc/net/dev",
            "ip route",
            "cat /proc/sys/net/ipv4/ip_forward",
        )
    ]


def routes() -> str:
    """Return the routes of this host, as ip prints them."""
    return run(os.getpid(), "ip", "route")


@contextmanager
def unchanged(host: Host) -> Iterator[None]:
    """Check that both hosts are in the end as they were, but for bridges of daemons."""
    pids = os.getpid(), host.pid
    before = [state(pid) for pid in pids]
    yield
    assert [state(pid) for pid in pids] == before


class Pair:
    """
    A daemon on each of two hosts, for one director.

    @ivar here: that of this host.
    @ivar there: that of the other.
    """

    def __init__(self, new_daemon: NewDaemon, host: Host, overlay: object) -> None:
        self.host = host
        config = {"overlay": overlay, "repair_interval": 86400}
        self.here = new_daemon(config=config)
        self.there = new_daemon(config=config, within=host.within)
        self.here.config["peers"] = [peer(self.there, host.address)]
        self.there.config["peers"] = [peer(self.here, HERE)]
        for daemon in (self.here, self.there):
            daemon.write_config()
            daemon.start()
        # The director has the CPI of this host, and an entry for the other in a cpi-config.
        self.there.cpi = CPI(self.here.home / "cpi.json")
        entry = {"network_type": "unix", "address": str(self.there.socket)}
        self.there.cpi.properties = entry

    def create_vms(self, image: Path) -> tuple[VM, VM]:
        """Make a VM on each host."""
        ours, theirs = (
            daemon.create_vm(daemon.create_stemcell(image))
            for daemon in (self.here, self.there)
        )
        return ours, theirs

    def stop(self) -> None:
        """Delete all VMs, and stop."""
        for daemon in (self.here, self.there):
            daemon.tear_down()


def peer(daemon: Daemon, address: str) -> dict[str, object]:
    """Return what another host's configuration says of a daemon."""
    return {"address": address, "cidr": daemon.config["cidr"]}


def repair(daemon: Daemon) -> None:
    """Have a daemon repair what somebody else broke."""
    with daemon.connection() as client:
        client.call("Repair")


def reach_each_other(one: VM, other: VM) -> bool:
    """Say whether each of two VMs reaches the other, which sees its own address."""
    return all(
        answer(here, there) == f"word {here.address}"
        for here, there in ((one, other), (other, one))
    )


def answer(here: VM, there: VM) -> str:
    """Return what one VM is answered by another, or nothing."""
    with serving(there.pid, PORT, "word"):
        return ask(here.pid, there.address, PORT)


def is_cut_off(here: VM, there: VM) -> bool:
    """Say whether one VM does not reach the other."""
    with serving(there.pid, PORT, "word"):
        return is_silent(here.pid, there.address, PORT)
