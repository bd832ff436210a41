"""Values that are larger than one AMP value can be."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from tests.harness.daemon import manual
from tests.harness.lab import NewDaemon
from tests.harness.vm import SETTINGS


@pytest.mark.parametrize("network_type", ["unix", "tcp"])
def test_large_values(new_daemon: NewDaemon, tiny: Path, network_type: str) -> None:
    """1 MiB of an agent's environment and 200 KiB of networks arrive unchanged."""
    daemon = new_daemon(network_type=network_type).start()
    source = random.Random(1)
    letters = [chr(code) for code in (*range(32, 127), 0xE9, 0x20AC, 0x1F600)]
    env = {f"key {n}": "".join(source.choices(letters, k=1024)) for n in range(1024)}
    network = manual(daemon.network + "8", dns=["192.0.2.1"], x="é" * 100_000)
    stemcell = daemon.create_stemcell(tiny)
    vm = daemon.create_vm(stemcell, {"large": network}, env=env)
    assert vm.networks == {"large": network}
    settings = json.loads(vm.read(SETTINGS))
    assert settings["env"] == env
    assert settings["networks"]["large"].items() >= network.items()
    metadata = {"notes": "x" * 300_000}
    daemon.cpi.ok("set_vm_metadata", vm.cid, metadata)
    daemon.stop()
    daemon.start()
    assert json.loads((vm.directory / "vm.json").read_text())["metadata"] == metadata
    assert daemon.cpi.ok("has_vm", vm.cid) is True
