"""VMs of two hosts reach each other by routes, and no network of one is the other's."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.functional.two_hosts import (
    PORT,
    Pair,
    is_cut_off,
    reach_each_other,
    repair,
    routes,
)
from tests.harness.daemon import Daemon, manual, vm_arguments
from tests.harness.hosts import HERE, Host
from tests.harness.lab import NewDaemon
from tests.harness.world import (
    ask,
    serving,
)


def test_routes(new_daemon: NewDaemon, neighbour: Host, tiny: Path) -> None:
    """Routes lead to VMs of a neighbour, and go with the configuration and the last VM."""
    pair = Pair(new_daemon, neighbour, "none")
    ours, theirs = pair.create_vms(tiny)
    assert reach_each_other(ours, theirs)
    # The host itself has an address that peers know.
    with serving(theirs.pid, PORT, "word"):
        gateway = f"{pair.here.network}1"
        assert ask(os.getpid(), theirs.address, PORT) == f"word {gateway}"
    way = ["ip", "route", "del", str(pair.there.config["cidr"])]
    subprocess.run(way, check=True)
    assert is_cut_off(ours, theirs)
    repair(pair.here)
    assert reach_each_other(ours, theirs)
    peers = pair.here.config.pop("peers")
    pair.here.write_config()
    pair.here.stop()
    assert reach_each_other(ours, theirs)
    pair.here.start()
    assert str(pair.there.config["cidr"]) not in routes()
    pair.here.config["peers"] = peers
    pair.here.write_config()
    pair.here.kill()
    pair.here.recover()
    assert reach_each_other(ours, theirs)
    isolate(pair.here)
    assert is_cut_off(ours, theirs)
    assert is_cut_off(theirs, ours)
    pair.stop()


def isolate(daemon: Daemon) -> None:
    """Keep the VMs of a daemon apart from others."""
    own = {key: daemon.config.pop(key) for key in ("cidr", "bridge")}
    daemon.config["networks"] = [{"name": "default", "isolated": True, **own}]
    daemon.write_config()
    daemon.stop()
    daemon.start()


def test_other_networks(new_daemon: NewDaemon, neighbour: Host, tiny: Path) -> None:
    """
    No network of this host is one of a peer: neither one that VMs describe, nor one that
    the host has by itself.
    """
    taken = ["ip", "route", "add", "10.99.0.0/24", "via", neighbour.address]
    subprocess.run(taken, check=True)
    peers = [{"address": neighbour.address, "cidr": ["10.99.0.0/16", "10.98.0.0/16"]}]
    daemon = new_daemon(config={"peers": peers}).start()
    stemcell = daemon.create_stemcell(tiny)
    networks = {"a": manual("10.98.7.2")}
    error = daemon.cpi.error("create_vm", *vm_arguments(stemcell, networks))
    assert (
        "networks.a: 10.98.7.0/24 overlaps with 10.98.0.0/16, a network of the peer "
        f"{neighbour.address}"
    ) in error["message"]
    vm = daemon.create_vm(stemcell)
    assert (
        "10.99.0.0/16 of the peer 192.0.2.3 overlaps with 10.99.0.0/24, a route by uplink "
        "of this host"
    ) in daemon.log
    assert "10.98.0.0/16 via 192.0.2.3" in routes()
    daemon.cpi.ok("delete_vm", vm.cid)
    subprocess.run(["ip", "route", "del", "10.99.0.0/24"], check=True)
    daemon.stop()
    daemon.config["peers"] = [{"address": HERE, "cidr": "10.98.0.0/16"}]
    daemon.write_config()
    assert daemon.refusal().endswith(
        "peers[0].address: 192.0.2.2 is this host's own; it must be that of another"
    )
