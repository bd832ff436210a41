"""The agent's settings file has every field that the agent reads."""

from __future__ import annotations

import json
from typing import Any

from runc_cpi.daemon.vms.agent_settings import agent_settings
from tests.unit.networks.examples import MANUAL, VIP

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
MAC = "02:42:0a:00:00:02"
SET_UP = {"mac": MAC, "use_dhcp": False, "preconfigured": True}


def settings(**changes: Any) -> dict[str, Any]:
    """Return the settings of a VM like any other, with changes."""
    arguments: dict[str, Any] = {
        "vm_cid": "vm-1",
        "agent_id": "agent-1",
        "networks": {"default": MANUAL, "public": VIP},
        "macs": {"default": MAC},
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
    """The settings are exactly these."""
    assert settings() == {
        "agent_id": "agent-1",
        "vm": {"name": "vm-1", "id": "vm-1"},
        "mbus": "nats://192.0.2.1:4222",
        "ntp": ["192.0.2.2"],
        "blobstore": {"provider": "local", "options": {"blobstore_path": "/b"}},
        "networks": {"default": {**MANUAL, **SET_UP}, "public": VIP},
        "disks": {"system": "", "ephemeral": "", "persistent": {}},
        "env": ENV,
    }


def test_it_survives_json() -> None:
    """The settings are the same after JSON."""
    assert json.loads(json.dumps(settings())) == settings()


def test_env_is_copied_whole() -> None:
    """The agent gets the whole env, with keys that only a later agent knows."""
    assert settings()["env"] == ENV
    assert settings(env={})["env"] == {}


def test_env_does_not_leak_into_the_top() -> None:
    """Values of C{env.bosh} are not copied to the top level, which they overrule."""
    assert settings(agent={})["mbus"] == ""
    assert settings(agent={})["ntp"] == []
    assert settings(agent={})["blobstore"] == {"provider": "", "options": {}}


def test_nothing_configured_has_the_right_types() -> None:
    """Values that are not configured are empty ones of the type that the agent parses."""
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
    """Networks are marked as preconfigured, so the agent leaves the interfaces alone."""
    dynamic = {"type": "dynamic", "ip": "10.0.0.3", "cloud_properties": {}}
    networks, macs = {"a": MANUAL, "b": dynamic, "v": VIP}, {"a": MAC, "b": "02:42:1"}
    done = settings(networks=networks, macs=macs)["networks"]
    assert [done[name].get("mac") for name in "abv"] == [MAC, "02:42:1", None]
    assert [done[name].get("preconfigured") for name in "abv"] == [True, True, None]
    assert "preconfigured" not in MANUAL


def test_a_prefix_stays_a_string() -> None:
    """A prefix is told as a string: a number breaks the agent's parser."""
    assert settings()["networks"]["default"]["prefix"] == "32"


def test_disks_are_named_for_agents_that_are_not_told() -> None:
    """Persistent disks are in the settings by their cids, for agents that are not told."""
    disks = {"disk-1": "/dev/disk-1"}
    done = settings(disks=disks)
    assert done["disks"] == {"system": "", "ephemeral": "", "persistent": disks}
