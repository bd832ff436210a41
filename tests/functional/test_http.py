"""What a daemon tells by HTTP, with a real VM: its health and its metrics, over TLS."""

from __future__ import annotations

import http.client
import signal
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from tests.harness.certificates import Authority, client_context
from tests.harness.daemon import Daemon
from tests.harness.lab import NewDaemon
from tests.harness.waiting import eventually

AUTHORITY = Authority()
CLIENT = AUTHORITY.issue("prometheus", purpose="client")
METADATA = {"director": "bosh", "deployment": "cf", "job": "db", "index": 0, "name": "db/0"}
PATIENCE = 30.0  # seconds


def served(new_daemon: NewDaemon) -> Daemon:
    """Start a daemon with TLS at its HTTP port."""
    tls = AUTHORITY.issue("server", "127.0.0.1", purpose="server")
    daemon = new_daemon()
    daemon.config["http"] = {"address": f"127.0.0.1:{daemon.port}", "tls": tls}
    daemon.write_config()
    return daemon.start()


class Browser:
    """Looks at a daemon, by one connection that stays open."""

    def __init__(self, daemon: Daemon, directory: Path) -> None:
        self.connection = http.client.HTTPSConnection(
            "127.0.0.1",
            daemon.port,
            timeout=PATIENCE,
            context=client_context(CLIENT, str(directory)),
        )

    def get(self, path: str) -> str:
        """Return what is at a path, which must be there."""
        self.connection.request("GET", path)
        answer = self.connection.getresponse()
        text = answer.read().decode()
        assert answer.status == 200, (answer.status, text)
        return text

    def metrics(self) -> dict[tuple[str, str], float]:
        """Return the values by the name of the metric and its first label's value."""
        return {
            (sample.name, next(iter(sorted(sample.labels.values())), "")): sample.value
            for family in text_string_to_metric_families(self.get("/metrics"))
            for sample in family.samples
        }

    def of(self, vm_cid: str) -> dict[str, float]:
        """Return the values that are about a VM."""
        return {
            sample.name.removeprefix("runc_cpi_vm_"): sample.value
            for family in text_string_to_metric_families(self.get("/metrics"))
            for sample in family.samples
            if sample.labels
            == {"vm_cid": vm_cid, "deployment": "cf", "instance": METADATA["name"]}
        }


def test_a_vm_in_numbers(new_daemon: NewDaemon, tiny: Path, tmp_path: Path) -> None:
    """A VM's numbers are there, and grow with what it does; so are the daemon's own."""
    daemon = served(new_daemon)
    browser = Browser(daemon, tmp_path)
    assert browser.get("/healthz") == browser.get("/readyz") == "ok\n"
    stemcell = daemon.create_stemcell(tiny)
    vm = daemon.create_vm(stemcell, cloud_properties={"ram": 64})
    daemon.cpi.ok("set_vm_metadata", vm.cid, METADATA)
    eventually(lambda: "pids" in browser.of(vm.cid), "the VM is told of", PATIENCE)
    before = browser.of(vm.cid)
    assert before["memory_limit_bytes"] == 64 << 20
    assert 0 < before["memory_bytes"] < 64 << 20
    assert before["oom_kills_total"] == 0
    vm.run("ping", "-c", "3", "-i", "0.2", "-s", "5000", daemon.network + "1")

    def has_grown() -> bool:
        now = browser.of(vm.cid)
        sent = now["network_transmit_bytes_total"] - before["network_transmit_bytes_total"]
        return sent > 15000 and now["cpu_seconds_total"] > before["cpu_seconds_total"]

    eventually(has_grown, "the ping counts", PATIENCE)
    found = browser.metrics()
    assert found["runc_cpi_vms", "running"] == 1
    assert found["runc_cpi_stemcells", ""] == 1
    assert found["runc_cpi_stemcell_bytes", stemcell] > 100_000
    assert found["runc_cpi_network_addresses_used", str(daemon.config["cidr"])] == 1
    assert found["runc_cpi_loop_devices", ""] >= 1
    assert found["runc_cpi_room_free_bytes", ""] > 0
    keys = {"http.tls.ca", "http.tls.certificate"}
    name = "runc_cpi_certificate_expiry_timestamp_seconds"
    assert {label for metric, label in found if metric == name} == keys
    assert daemon.signal(signal.SIGTERM) == -signal.SIGTERM
    assert "Traceback" not in daemon.log + daemon.stderr
