"""VMs resolve names at their gateway."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from runc_cpi.daemon.host.name_servers import name_servers
from tests.harness.daemon import Daemon, manual
from tests.harness.lab import NewDaemon
from tests.harness.names import NameServer, ask
from tests.harness.vm import VM

SERVER = "127.0.0.3"  # which no VM reaches
# A daemon that runs here sees a file in place of the host's resolv.conf(5).
WITH_RESOLV_CONF = """
    mount --bind "$0" /etc/resolv.conf
    exec "$@"
"""


@pytest.fixture
def server() -> Iterator[NameServer]:
    """The host's name server."""
    with NameServer({"one.example": ["192.0.2.1"]}).serving(SERVER) as server:
        yield server


@pytest.fixture
def named(new_daemon: NewDaemon, server: NameServer) -> Daemon:
    """A daemon on a host that has this name server."""
    daemon = new_daemon()
    resolv_conf = daemon.home / "resolv.conf"
    resolv_conf.write_text(f"nameserver {SERVER}\n")
    unshare = ["unshare", "--mount", "--propagation", "slave"]
    daemon.launch(prefix=[*unshare, "sh", "-ec", WITH_RESOLV_CONF, str(resolv_conf)])
    daemon.wait_until(lambda: "serving at" in daemon.log)
    return daemon


def resolved(vm: VM, name: str) -> bool:
    """Say whether a VM finds the address that a name of these tests has."""
    outcome = vm.attempt("busybox", "nslookup", name)
    return outcome.returncode == 0 and "192.0.2.1" in outcome.stdout


def test_the_gateway_is_the_name_server(
    named: Daemon, tiny: Path, server: NameServer
) -> None:
    """
    A VM whose networks name no name server has the gateway, and resolves names by it.  So
    does a name server in the VM, at the address of BOSH DNS, that has resolv.conf changed.
    """
    stemcell, gateway = named.create_stemcell(tiny), named.network + "1"
    asked = manual(named.network + "9", dns=["192.0.2.7"])
    assert named.create_vm(stemcell, {"n": asked}).networks["n"]["dns"] == ["192.0.2.7"]
    vm = named.create_vm(stemcell)
    assert vm.networks["default"]["dns"] == [gateway]
    assert vm.read("/etc/resolv.conf") == f"nameserver {gateway}\n"
    assert resolved(vm, "one.example")
    assert not resolved(vm, "none.example")
    assert gateway in vm.run("busybox", "nslookup", "host.internal")
    # BOSH DNS has an interface of its own; loopback is always there.
    vm.run("ip", "address", "add", "169.254.0.2/32", "dev", "lo")
    vm.shell("echo nameserver 169.254.0.2 >/etc/resolv.conf")
    assert not resolved(vm, "one.example")
    own = {"0.db.default.dep.bosh": ["192.0.2.1"]}
    with NameServer(own, gateway, vm.pid).serving("169.254.0.2") as in_the_vm:
        assert resolved(vm, "0.db.default.dep.bosh")
        assert resolved(vm, "one.example")
    assert ("one.example", "udp") in in_the_vm.asked
    assert {name for name, _ in server.asked} == {"one.example", "none.example"}


def test_switched_off(new_daemon: NewDaemon, tiny: Path) -> None:
    """With C{dns_server: false} VMs have the host's name servers, and no other."""
    daemon = new_daemon(config={"dns_server": False}).start()
    gateway = daemon.network + "1"
    vm = daemon.create_vm(daemon.create_stemcell(tiny))
    assert vm.networks["default"]["dns"] == name_servers()
    with pytest.raises(ConnectionRefusedError):
        ask(gateway, "host.internal", pid=vm.pid)
