"""A bridge that has all the ports that Linux gives one."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from runc_cpi.daemon.networks.bridge_ports import MOST_PORTS, no_port_left
from tests.harness.daemon import vm_arguments
from tests.harness.lab import NewDaemon

BRIDGE, GROUP = "full0", 4711


def _ip(*lines: str) -> None:
    subprocess.run(["ip", "-batch", "-"], input="\n".join(lines), text=True, check=True)


@pytest.fixture
def full_bridge() -> Iterator[str]:
    """A bridge of the host that has no port left."""
    ports = (
        f"link add full{n} group {GROUP} master {BRIDGE} type veth peer name peer{n}"
        for n in range(1, MOST_PORTS + 1)
    )
    _ip(f"link add {BRIDGE} type bridge")
    try:
        _ip(*ports)
        yield BRIDGE
    finally:
        # All of them at once: one after the other takes a minute.
        subprocess.run(["ip", "link", "delete", "group", str(GROUP)], check=False)
        _ip(f"link delete {BRIDGE}")


def test_a_vm_for_which_there_is_no_port(
    new_daemon: NewDaemon, tiny: Path, full_bridge: str
) -> None:
    """It is refused in words that an operator understands; it comes once there is room."""
    daemon = new_daemon(config={"bridge": full_bridge}).start()
    stemcell = daemon.create_stemcell(tiny)
    error = daemon.cpi.error("create_vm", *vm_arguments(stemcell))
    assert error["type"] == "Bosh::Clouds::VMCreationFailed"
    assert not error["ok_to_retry"]
    assert error["message"] == f"network: connect: {no_port_left(full_bridge)}"
    assert daemon.vm_cids() == []
    _ip("link set full1 nomaster")
    vm = daemon.create_vm(stemcell)
    assert vm.is_alive()
