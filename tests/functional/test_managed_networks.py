"""Networks that a director makes and deletes: C{managed: true} in its cloud-config."""

from __future__ import annotations

import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.harness import netns
from tests.harness.daemon import Daemon, manual
from tests.harness.host import reboot_host
from tests.harness.waiting import eventually

BRIDGE = "runc-0af60000"
RANGE, GATEWAY, ADDRESS = "10.246.0.0/24", "10.246.0.254", "10.246.0.9"


def definition(**changes: Any) -> dict[str, Any]:
    """Return what the director sends, with changes; it leaves out what it does not know."""
    usual = {
        "type": "manual",
        "cloud_properties": {"name": "lan", "mtu": 1400, "ephemeral_disk_size": 1024},
        "range": RANGE,
        "gateway": GATEWAY,
    }
    return {key: value for key, value in {**usual, **changes}.items() if value is not None}


def make(daemon: Daemon, **changes: Any) -> list[Any]:
    """Make a network, and return all that the director is told."""
    told: list[Any] = daemon.cpi.ok("create_network", definition(**changes))
    return told


def refusal(daemon: Daemon, **changes: Any) -> str:
    """Return why a network cannot be made."""
    error = daemon.cpi.error("create_network", definition(**changes))
    assert error["type"] == "Bosh::Clouds::CloudError"
    return str(error["message"])


def managed(daemon: Daemon) -> set[str]:
    """Return the bridges of a daemon but that of its configuration."""
    return netns.bridges_of(daemon.cgroup) - {str(daemon.config["bridge"])}


def test_from_its_making_to_its_end(daemon: Daemon, tiny: Path) -> None:
    """
    The network is there with and without VMs, also after a crash of the daemon, until it is
    deleted.  VMs are in it by their addresses, or by its name.
    """
    answer = daemon.cpi.call("create_network", definition())
    cid, addresses, properties = answer["result"]
    assert addresses == {"range": RANGE, "gateway": GATEWAY, "reserved": []}
    assert properties == definition()["cloud_properties"]
    assert "ephemeral_disk_size mean nothing to networks of this CPI" in answer["log"]
    assert managed(daemon) == {BRIDGE}
    # What the director makes of the answer, for a VM.
    told = manual(ADDRESS, gateway=GATEWAY, prefix="32", cloud_properties=properties)
    named = {"type": "dynamic", "cloud_properties": {"name": "lan"}}
    stemcell = daemon.create_stemcell(tiny)
    vm = daemon.create_vm(stemcell, {"a": told, "b": named})
    assert vm.networks["b"]["ip"] == "10.246.0.253"
    assert "mtu 1400" in vm.run("ip", "link", "show", "eth0")
    assert f"default via {GATEWAY}" in vm.run("ip", "route")
    daemon.kill()
    daemon.start()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((ADDRESS, 9), timeout=5)
    row = ["lan", RANGE, GATEWAY, BRIDGE, "2"]
    assert [cid, *row] in [line.split() for line in daemon.control("networks").splitlines()]
    error = daemon.cpi.error("delete_network", cid)
    assert error["message"] == f"{cid} is in use by {vm.cid}"
    daemon.cpi.ok("delete_vm", vm.cid)
    assert managed(daemon) == {BRIDGE}
    daemon.stop()
    assert managed(daemon) == set()
    daemon.start()
    assert managed(daemon) == {BRIDGE}
    assert daemon.cpi.ok("delete_network", cid) is None
    assert managed(daemon) == set()
    error = daemon.cpi.error("delete_network", cid)
    assert error["type"] == "Bosh::Clouds::NetworkNotFound"
    daemon.kill()
    daemon.start()
    assert managed(daemon) == set()


def test_a_reboot_of_the_host(daemon: Daemon) -> None:
    """After a reboot the network is there again, though no VM is in it."""
    cid = make(daemon)[0]
    reboot_host(daemon)
    assert managed(daemon) == set()
    daemon.start()
    assert managed(daemon) == {BRIDGE}
    subprocess.run(["ip", "link", "delete", BRIDGE], check=True)
    daemon.control("repair")
    assert managed(daemon) == {BRIDGE}
    daemon.cpi.ok("delete_network", cid)


def test_a_network_that_was_not_managed_before(daemon: Daemon, tiny: Path) -> None:
    """A network that VMs described becomes a managed one, and they keep running in it."""
    network = manual(ADDRESS, gateway=GATEWAY)
    vm = daemon.create_vm(daemon.create_stemcell(tiny), {"a": network})
    cid = make(daemon)[0]
    vm.run("ping", "-c", "1", "-W", "2", GATEWAY)
    daemon.cpi.ok("delete_vm", vm.cid)
    assert managed(daemon) == {BRIDGE}
    daemon.cpi.ok("delete_network", cid)


def test_what_the_host_has(daemon: Daemon) -> None:
    """A network of the host's own is refused by name, and never chosen."""
    command = ["ip", "addr", "add", "10.0.0.50/15", "dev", "lo"]
    subprocess.run(command, check=True)
    try:
        message = refusal(daemon, range="10.1.0.0/24", gateway=None)
        assert "10.1.0.0/24 overlaps with 10.0.0.50/15, an address of lo" in message
        bits = {"range": None, "gateway": None, "netmask_bits": 24}
        first, addresses, properties = make(daemon, **bits, cloud_properties={})
        assert addresses == {"range": "10.2.0.0/24", "gateway": "10.2.0.1", "reserved": []}
        assert properties == {"name": first}
        second, addresses, _ = make(daemon, **bits, cloud_properties={})
        assert addresses["range"] == "10.2.1.0/24"
    finally:
        subprocess.run([*command[:2], "del", *command[3:]], check=True)
    own = f"{daemon.network}0/24"
    message = refusal(daemon, range=own, gateway=None)
    assert message == f"network {own} is the network 'default' of this host"
    message = refusal(daemon, range="10.2.0.0/16", gateway=None)
    assert "overlaps with 10.2.0.0/24 of this host, whose gateway is 10.2.0.1" in message
    assert managed(daemon) == {"runc-0a020000", "runc-0a020100"}
    for cid in (first, second):
        daemon.cpi.ok("delete_network", cid)
    eventually(lambda: not list(daemon.scratch.iterdir()), "nothing is left")
