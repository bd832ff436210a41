"""The agent's settings file: every field that the agent reads, and none bent."""

from __future__ import annotations

import json
from typing import Any

from runc_cpi.daemon.vms.agent_settings import agent_settings

MANUAL = {
    "type": "manual",
    "ip": "10.0.0.2",
    "netmask": "255.255.0.0",
    "prefix": "32",
    "gateway": "10.0.0.1",
    "dns": ["198.51.100.1"],
    "default": ["dns", "gateway"],
    "cloud_properties": {"name": "random"},
}
VIP = {"type": "vip", "ip": "203.0.113.1", "prefix": "32", "cloud_properties": {}}
ENV = {
    "bosh": {
        "password": "$6$salt$hash",
        "keep_root_password": True,
        "mbus": {"cert": {"ca": "CA\n", "certificate": "C\n", "private_key": "K\n"}},
        "blobstores": [{"provider": "dav", "options": {"endpoint": "https://192.0.2.3"}}],
        "ntp": ["time.example"],
        "group": "dep-vm",
        "groups": ["dep", "vm"],
        "tags": {"owner": "me"},
        "remove_dev_tools": False,
        "swap_size": 0,
    },
    "persistent_disk_fs": "ext4",
    "unheard_of": [None, 1.5, {"\u2603": "x" * 70000}],
}


def settings(**changes: Any) -> dict[str, Any]:
    """Return the settings of a VM like any other, with changes."""
    arguments: dict[str, Any] = {
        "vm_cid": "vm-1",
        "agent_id": "agent-1",
        "networks": {"default": MANUAL, "public": VIP},
        "env": ENV,
        "agent": {
            "mbus": "nats://192.0.2.1:4222",
            "ntp": ["192.0.2.2"],
            "blobstore": {"provider": "local", "options": {"blobstore_path": "/b"}},
        },
        "disks": {},
    }
    return agent_settings(**{**arguments, **changes})


def test_the_whole_document() -> None:
    """Exactly this reaches the agent."""
    assert settings() == {
        "agent_id": "agent-1",
        "vm": {"name": "vm-1", "id": "vm-1"},
        "mbus": "nats://192.0.2.1:4222",
        "ntp": ["192.0.2.2"],
        "blobstore": {"provider": "local", "options": {"blobstore_path": "/b"}},
        "networks": {"default": {**MANUAL, "preconfigured": True}, "public": VIP},
        "disks": {"system": "", "ephemeral": "", "persistent": {}},
        "env": ENV,
    }


def test_it_survives_json() -> None:
    """What is built is what the file says."""
    assert json.loads(json.dumps(settings())) == settings()


def test_env_is_copied_whole() -> None:
    """Each key counts for the agent or for a later one: none is chosen or dropped."""
    assert settings()["env"] == ENV
    assert settings(env={})["env"] == {}


def test_env_does_not_leak_into_the_top() -> None:
    """The agent itself prefers C{env.bosh}; the two are not mixed here."""
    assert settings(agent={})["mbus"] == ""
    assert settings(agent={})["ntp"] == []
    assert settings(agent={})["blobstore"] == {"provider": "", "options": {}}


def test_nothing_configured_has_the_right_types() -> None:
    """A null where the agent wants a string, a list or an object breaks its parser."""
    given: list[dict[str, Any]] = [
        {},
        {"mbus": None, "ntp": None, "blobstore": None},
        {"blobstore": {"provider": None, "options": None}},
        {"blobstore": {}},
    ]
    for agent in given:
        done = settings(agent=agent)
        assert isinstance(done["mbus"], str)
        assert isinstance(done["ntp"], list)
        assert isinstance(done["blobstore"]["provider"], str)
        assert isinstance(done["blobstore"]["options"], dict)


def test_interfaces_are_preconfigured() -> None:
    """The agent sets up name resolution, and leaves the interfaces alone."""
    dynamic = {"type": "dynamic", "ip": "10.0.0.3", "cloud_properties": {}}
    done = settings(networks={"a": MANUAL, "b": dynamic, "v": VIP})["networks"]
    assert [done[name].get("preconfigured") for name in "abv"] == [True, True, None]
    assert "preconfigured" not in MANUAL


def test_a_prefix_stays_a_string() -> None:
    """A number would break the agent's parser."""
    assert settings()["networks"]["default"]["prefix"] == "32"


def test_disks_are_named_for_agents_that_are_not_told() -> None:
    """They find them by their cids, where they look for no others."""
    disks = {"disk-1": "/dev/disk-1"}
    done = settings(disks=disks)
    assert done["disks"] == {"system": "", "ephemeral": "", "persistent": disks}
