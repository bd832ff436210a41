"""The doctor on a real host: what it finds wrong there, by the tool and by the daemon."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from runc_cpi.daemon.host.network import libnftables, table
from tests.harness.daemon import CONTROL, Daemon
from tests.harness.lab import NewDaemon
from tests.harness.waiting import eventually

# No name server is there, so its port is closed.
NOWHERE = "127.0.0.9"
REFUSED = f"{NOWHERE} cannot be asked: Connection refused"
PORT = 8080
# If others cannot reach python itself, capabilities do what root did.
OTHER_USER = (
    *("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"),
    *("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"),
)


def findings(daemon: Daemon, prefix: Sequence[str] = ()) -> dict[str, list[dict[str, Any]]]:
    """Return what the tool finds, by the names of the checks."""
    done = subprocess.run(
        [*prefix, CONTROL, "--config", daemon.config_file, "doctor", "--output", "json"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    found: dict[str, list[dict[str, Any]]] = {}
    for each in json.loads(done.stdout)["findings"]:
        found.setdefault(each["check"], []).append(each)
    return found


def test_what_it_finds(new_daemon: NewDaemon, tiny: Path) -> None:
    """
    A name server that is not there is found by the daemon as well, once it serves.  A port
    of a VM is compared with the rules, and with who listens there.  Who is not root is told
    what he may not look at.
    """
    daemon = new_daemon()
    network = {"name": "default", "cidr": daemon.config.pop("cidr"), "dns": [NOWHERE]}
    daemon.config["networks"] = [{**network, "bridge": daemon.config.pop("bridge")}]
    daemon.write_config()
    daemon.start()
    vm = daemon.create_vm(
        daemon.create_stemcell(tiny), cloud_properties={"ports": [f"{PORT}:80"]}
    )
    (ports,) = findings(daemon)["published ports"]
    assert (ports["state"], ports["seen"]) == ("ok", "lead to their VMs (1)")
    to_others = findings(daemon, OTHER_USER)
    assert to_others["root"][0]["state"] == "fault"
    for check in ("nftables", "firewall", "leftovers", "published ports"):
        (unseen,) = to_others[check]
        assert (unseen["state"], "only root may" in unseen["seen"]) == ("warning", True)
    name = table.name_of(daemon.work_dir)
    libnftables.run(f"flush map {table.FAMILY} {name} ports")
    with socket.create_server(("127.0.0.1", PORT)):
        found = findings(daemon)
    unruled, shadowed = found["published ports"]
    assert unruled["seen"] == f"no rule leads to port {PORT}/tcp of {vm.cid}"
    assert (unruled["state"], shadowed["state"]) == ("fault", "warning")
    assert f"(pid {os.getpid()}) of this host listens at {PORT}/tcp" in shadowed["seen"]
    assert REFUSED in found["DNS answers"][0]["seen"]
    eventually(lambda: REFUSED in daemon.log, "the daemon warns", 60)
    assert daemon.log.index("serving at") < daemon.log.index(REFUSED)
    daemon.control("repair")
    assert [each["state"] for each in findings(daemon)["published ports"]] == ["ok"]
