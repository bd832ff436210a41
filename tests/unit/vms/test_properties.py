"""The cloud_properties of a VM; those that are refused are in tests/contract."""

from __future__ import annotations

import pytest

from runc_cpi.daemon.vms.properties import VMProperties


def test_cloud_properties_may_say_nothing() -> None:
    """Without properties a VM has no limits, and its stemcell decides over the init."""
    assert VMProperties.parse({}) == VMProperties()
    nothing = dict.fromkeys(("cpu", "ram", "init", "capabilities", "cpi_access"))
    assert VMProperties.parse(nothing) == VMProperties()


def test_cloud_properties() -> None:
    """Known properties are read, and the names of others are kept."""
    raw = {"cpu": 1, "ram": 512, "init": "systemd", "capabilities": "all"}
    assert VMProperties.parse(
        {**raw, "ports": [], "vm_type": 1, "instance_type": "m1"}
    ) == VMProperties(
        cpu=1.0,
        ram=512,
        init="systemd",
        all_capabilities=True,
        unknown=("instance_type", "vm_type"),
    )
    assert not VMProperties.parse({"capabilities": "default"}).all_capabilities
    assert VMProperties.parse({"cpi_access": True}).cpi_access
    assert not VMProperties.parse({"cpi_access": False}).cpi_access


@pytest.mark.parametrize("cpu", [0.01, 0.5, 4096])
@pytest.mark.parametrize("ram", [32, 1 << 24])
def test_bounds_of_cloud_properties(cpu: float, ram: int) -> None:
    """The bounds of a property are allowed values, and memory is a whole number."""
    parsed = VMProperties.parse({"cpu": cpu, "ram": ram})
    assert (parsed.cpu, parsed.ram) == (cpu, ram)
    assert isinstance(parsed.ram, int)
