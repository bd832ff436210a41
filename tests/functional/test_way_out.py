"""The way out: VMs reach other networks by the host's addresses, unless told otherwise."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from runc_cpi.daemon.host.network import libnftables, sysctls
from tests.harness.daemon import Daemon
from tests.harness.host import reboot_host
from tests.harness.lab import NewDaemon
from tests.harness.world import HOST, UPLINK, WORLD, ask, is_silent, serving, world

PORT = 80
FORWARDING = Path("/proc/sys/net/ipv4/ip_forward")


@pytest.fixture
def beyond(leaves_nothing: None) -> Iterator[int]:
    """A machine beyond the host, which answers."""
    with world() as pid, serving(pid, PORT, "world"):
        yield pid


def rules() -> str:
    """Return all rules of the host, as nft prints them."""
    command = ["nft", "--stateless", "list", "ruleset"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_vms_get_out(beyond: int, daemon: Daemon, tiny: Path) -> None:
    """The world sees the host's address, and what was there before is so again."""
    before = rules(), FORWARDING.read_text()
    vm = daemon.create_vm(daemon.create_stemcell(tiny))
    assert ask(vm.pid, WORLD, PORT) == f"world {HOST}"
    assert "table inet runc_cpid_" in rules()
    other = daemon.create_vm(daemon.create_stemcell(tiny))
    with serving(other.pid, PORT, "other"):
        assert ask(vm.pid, other.address, PORT) == f"other {vm.address}"
    daemon.cpi.ok("delete_vm", vm.cid)
    assert ask(other.pid, WORLD, PORT) == f"world {HOST}"
    daemon.cpi.ok("delete_vm", other.cid)
    assert (rules(), FORWARDING.read_text()) == before


def test_forwarding_that_others_rely_on(beyond: int, daemon: Daemon, tiny: Path) -> None:
    """
    The host goes on to forward if there are rules of others for it by now, or if an
    interface has another setting than the daemon made, or had it before; it says so.
    """
    stemcell = daemon.create_stemcell(tiny)
    setting = FORWARDING.parent / f"conf/{UPLINK}/forwarding"

    def after_a_vm(meanwhile: Callable[[], object]) -> str:
        vm = daemon.create_vm(stemcell)
        meanwhile()
        daemon.cpi.ok("delete_vm", vm.cid)
        found = FORWARDING.read_text()
        sysctls.set_forwarding(4, on=False)
        return found

    rule = "table ip other {\nchain c {\ntype filter hook forward priority 0\n}\n}"
    assert after_a_vm(partial(libnftables.run, rule)) == "1\n"
    assert "net.ipv4.ip_forward stays on: the rules in table ip other" in daemon.log
    libnftables.run("delete table ip other")
    assert after_a_vm(partial(setting.write_text, "0")) == "1\n"
    assert "net.ipv4.ip_forward stays on: an interface " in daemon.log
    assert after_a_vm(list) == "0\n"
    setting.write_text("1")
    assert after_a_vm(list) == "1\n"


def test_no_way_out(beyond: int, new_daemon: NewDaemon, tiny: Path) -> None:
    """With nat: false VMs stay inside, and the host is as it was."""
    before = rules(), FORWARDING.read_text()
    daemon = new_daemon(config={"nat": False}).start()
    vm = daemon.create_vm(daemon.create_stemcell(tiny))
    assert is_silent(vm.pid, WORLD, PORT)
    assert (rules(), FORWARDING.read_text()) == before


def test_after_ends(beyond: int, daemon: Daemon, tiny: Path) -> None:
    """VMs get out after the daemon was killed, after a reboot and after a repair."""
    vm = daemon.create_vm(daemon.create_stemcell(tiny))
    daemon.kill()
    assert ask(vm.pid, WORLD, PORT) == f"world {HOST}"
    daemon.start()
    assert ask(vm.pid, WORLD, PORT) == f"world {HOST}"
    reboot_host(daemon)
    daemon.recover()
    assert ask(vm.pid, WORLD, PORT) == f"world {HOST}"
    subprocess.run(["nft", "flush", "ruleset"], check=True)
    assert is_silent(vm.pid, WORLD, PORT)
    with daemon.connection() as client:
        client.call("Repair")
    assert ask(vm.pid, WORLD, PORT) == f"world {HOST}"


def test_two_daemons(beyond: int, new_daemon: NewDaemon, tiny: Path) -> None:
    """
    The host forwards as long as one of two daemons needs it, whichever came first, and no
    longer.
    """
    before = rules(), FORWARDING.read_text()
    first, second = new_daemon().start(), new_daemon().start()
    vms = [daemon.create_vm(daemon.create_stemcell(tiny)) for daemon in (first, second)]
    for vm in vms:
        assert ask(vm.pid, WORLD, PORT) == f"world {HOST}"
    first.cpi.ok("delete_vm", vms[0].cid)
    assert ask(vms[1].pid, WORLD, PORT) == f"world {HOST}"
    second.cpi.ok("delete_vm", vms[1].cid)
    assert (rules(), FORWARDING.read_text()) == before
