"""A VM's record comes back from disk as it was written, or not at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runc_cpi.daemon.networks.model import Nic
from runc_cpi.daemon.storage.records import read_record, write_record
from runc_cpi.daemon.vms.vm import VM
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


NIC = Nic.from_json(
    {
        "networks": ["n", "m"],
        "interface": "eth0",
        "mac": "02:42:0a:00:00:02",
        "addresses": ["10.0.0.2/24", "10.0.0.3/24"],
        "routes": [{"destination": "0.0.0.0/0", "gateway": "10.0.0.1"}],
        "bridge": "br0",
        "gateways": ["10.0.0.1/24"],
        "blocks": [],
        "mtu": None,
    }
)


def vm(**changes: Any) -> VM:
    """Return a VM like any other, with changes."""
    values: dict[str, Any] = {
        "vm_cid": "vm-1",
        "agent_id": "agent-1",
        "stemcell_cid": "stemcell-1",
        "cloud_properties": {"ram": 512},
        "networks": {"n": {"type": "manual", "ip": "10.0.0.2"}},
        "nics": (NIC,),
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
    """A record is the same after JSON, whatever the settings hold."""
    before = vm(env=env, metadata=metadata, agent=agent)
    assert VM.from_json(json.loads(json.dumps(before.to_json()))) == before


def test_a_record_comes_back_from_disk(tmp_path: Path) -> None:
    """A record is the same after it was on disk, with a lone surrogate in it as well."""
    before = vm(env={"odd": "\ud800", "large": "x" * (1 << 20)})
    write_record(tmp_path / "vm.json", before.to_json())
    assert VM.from_json(read_record(tmp_path / "vm.json")) == before


@pytest.mark.parametrize(
    "damage",
    [
        {"schema": 2},
        {"schema": 7},
        {"schema": None},
        {"nics": ["not one"]},
        {"nics": [{**NIC.to_json(), "addresses": ["not one"]}]},
        {"nics": [{}]},
        {"nics": None},
        {"end": "not one"},
        {"unheard_of": 1},
    ],
)
def test_a_record_of_another_version_is_refused(damage: dict[str, Any]) -> None:
    """A record of another version, or with a damaged field, is a ValueError."""
    with pytest.raises(ValueError, match=r".+"):
        VM.from_json({**vm().to_json(), **damage})


@pytest.mark.parametrize("key", sorted(set(vm().to_json()) - {"metadata", "ports"}))
def test_a_record_that_lacks_something_is_refused(key: str) -> None:
    """A record without one of its fields is a ValueError."""
    record = vm().to_json()
    del record[key]
    with pytest.raises(ValueError, match=r".+"):
        VM.from_json(record)


def test_settings_are_those_of_the_vm() -> None:
    """The agent's settings name the VM, its agent, its networks and its disks."""
    settings = vm().settings({"disk-1": "/dev/disk-1"})
    assert settings["agent_id"] == "agent-1"
    assert settings["vm"]["name"] == "vm-1"
    assert settings["networks"]["n"]["preconfigured"] is True
    assert settings["mbus"] == "nats://192.0.2.1"
    assert settings["env"] == {"bosh": {"password": "x"}}
    assert settings["disks"]["persistent"] == {"disk-1": "/dev/disk-1"}


@pytest.mark.parametrize(
    ("properties", "may"),
    [({}, False), ({"cpi_access": False}, False), ({"cpi_access": True}, True)],
)
def test_access(properties: dict[str, Any], may: bool) -> None:
    """A VM may call without TLS if its cloud_properties say so."""
    assert vm(cloud_properties=properties).may_call is may


def test_addresses_are_those_of_all_interfaces() -> None:
    """The first address of the first interface is the main one."""
    found = [str(address) for address in vm(nics=(NIC, NIC)).addresses]
    assert found == ["10.0.0.2", "10.0.0.3", "10.0.0.2", "10.0.0.3"]


def test_properties_are_parsed_once() -> None:
    """A VM's properties are one value, however often they are asked for."""
    model = vm()
    assert model.properties is model.properties
    assert model.properties.ram == 512


def test_properties_that_an_older_daemon_let_pass() -> None:
    """A record with refused properties is read, so that its VM can be deleted."""
    odd = VM.from_json(vm(cloud_properties={"ram": 1}).to_json())
    assert odd.vm_cid == "vm-1"
    with pytest.raises(InvalidArgument, match="ram"):
        _ = odd.properties
