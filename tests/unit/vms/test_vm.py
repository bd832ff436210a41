"""One VM's record: it comes back from disk as it went, or not at all."""

from __future__ import annotations

import json
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runc_cpi.daemon.storage.records import read_record, write_record
from runc_cpi.daemon.vms.vm import VM, NewVM, VMProperties
from runc_cpi.errors import InvalidArgument

json_objects = st.dictionaries(
    st.text(max_size=5),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3),
        max_leaves=5,
    ),
    max_size=4,
)


def vm(**changes: Any) -> VM:
    """Return a VM like any other, with changes."""
    values: dict[str, Any] = {
        "vm_cid": "vm-1",
        "agent_id": "agent-1",
        "stemcell_cid": "stemcell-1",
        "cloud_properties": {"ram": 512},
        "networks": {"n": {"type": "manual", "ip": "10.0.0.2"}},
        "addresses": (IPv4Address("10.0.0.2"), IPv4Address("10.0.0.3")),
        "env": {"bosh": {"password": "x"}},
        "agent": {"mbus": "nats://192.0.2.1"},
        "created_at": "2030-01-02T03:04:05+00:00",
        "metadata": {"job": "db"},
    }
    return VM(**{**values, **changes})


@given(env=json_objects, metadata=json_objects, agent=json_objects)
def test_a_record_comes_back(
    env: dict[str, Any], metadata: dict[str, Any], agent: dict[str, Any]
) -> None:
    """Through JSON, whatever the settings hold."""
    before = vm(env=env, metadata=metadata, agent=agent)
    assert VM.from_json(json.loads(json.dumps(before.to_json()))) == before


def test_a_record_comes_back_from_disk(tmp_path: Path) -> None:
    """A lone surrogate, which JSON can spell, is no obstacle."""
    before = vm(env={"odd": "\ud800", "large": "x" * (1 << 20)})
    write_record(tmp_path / "vm.json", before.to_json())
    assert VM.from_json(read_record(tmp_path / "vm.json")) == before


@pytest.mark.parametrize(
    "damage",
    [
        {"schema": 3},
        {"schema": None},
        {"addresses": ["not one"]},
        {"addresses": None},
        {"unheard_of": 1},
    ],
)
def test_a_record_of_another_version_is_refused(damage: dict[str, Any]) -> None:
    """It is a ValueError, which the daemon reports, and nothing else."""
    with pytest.raises(ValueError, match=r".+"):
        VM.from_json({**vm().to_json(), **damage})


def test_a_record_of_the_first_version_is_read() -> None:
    """It knew of no VMs that had stopped."""
    record = {**vm().to_json(), "schema": 1}
    del record["stopped"]
    assert VM.from_json(record) == vm()


@pytest.mark.parametrize("key", sorted(set(vm().to_json()) - {"metadata"}))
def test_a_record_that_lacks_something_is_refused(key: str) -> None:
    """Each key is needed."""
    record = vm().to_json()
    del record[key]
    with pytest.raises(ValueError, match=r".+"):
        VM.from_json(record)


def test_settings_are_those_of_the_vm() -> None:
    """They name the VM, its agent and its networks."""
    settings = vm().settings({"disk-1": "/dev/disk-1"})
    assert settings["agent_id"] == "agent-1"
    assert settings["vm"]["name"] == "vm-1"
    assert settings["networks"]["n"]["preconfigured"] is True
    assert settings["mbus"] == "nats://192.0.2.1"
    assert settings["env"] == {"bosh": {"password": "x"}}
    assert settings["disks"]["persistent"] == {"disk-1": "/dev/disk-1"}


def test_cloud_properties_may_say_nothing() -> None:
    """No limits then, and the stemcell decides over the init."""
    assert VMProperties.parse({}) == VMProperties()
    nothing = dict.fromkeys(("cpu", "ram", "init", "capabilities", "cpi_access"))
    assert VMProperties.parse(nothing) == VMProperties()


def test_cloud_properties() -> None:
    """Those known are taken, others are named and let pass."""
    raw = {"cpu": 1, "ram": 512, "init": "systemd", "capabilities": "all"}
    assert VMProperties.parse({**raw, "ports": [], "instance_type": "m1"}) == VMProperties(
        cpu=1.0,
        ram=512,
        init="systemd",
        all_capabilities=True,
        unknown=("instance_type", "ports"),
    )
    assert not VMProperties.parse({"capabilities": "default"}).all_capabilities
    assert VMProperties.parse({"cpi_access": True}).cpi_access
    assert not VMProperties.parse({"cpi_access": False}).cpi_access


@pytest.mark.parametrize(
    ("properties", "may"),
    [({}, False), ({"cpi_access": False}, False), ({"cpi_access": True}, True)],
)
def test_access(properties: dict[str, Any], may: bool) -> None:
    """A record says whether its VM may call; one of an older version says no."""
    assert vm(cloud_properties=properties).may_call is may


@pytest.mark.parametrize("cpu", [0.01, 0.5, 4096])
@pytest.mark.parametrize("ram", [32, 1 << 24])
def test_bounds_of_cloud_properties(cpu: float, ram: int) -> None:
    """The bounds themselves are allowed; memory stays a whole number."""
    parsed = VMProperties.parse({"cpu": cpu, "ram": ram})
    assert (parsed.cpu, parsed.ram) == (cpu, ram)
    assert isinstance(parsed.ram, int)


def test_a_new_vm_is_checked() -> None:
    """What the contract says suffices."""
    NewVM(
        agent_id="a",
        stemcell_cid="s",
        cloud_properties={},
        networks={},
        disk_cids=["d"],
        env={},
        agent={},
    ).check()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("agent_id", ""),
        ("agent_id", None),
        ("env", None),
        ("env", []),
        ("agent", "x"),
        ("disk_cids", None),
        ("disk_cids", {}),
        ("disk_cids", [1]),
    ],
)
def test_a_new_vm_with_a_wrong_argument_is_refused(field: str, value: Any) -> None:
    """The error names the argument."""
    arguments: dict[str, Any] = {
        "agent_id": "a",
        "stemcell_cid": "s",
        "cloud_properties": {},
        "networks": {},
        "disk_cids": [],
        "env": {},
        "agent": {},
    }
    with pytest.raises(InvalidArgument, match=f"^{field}: .*must be "):
        NewVM(**{**arguments, field: value}).check()
