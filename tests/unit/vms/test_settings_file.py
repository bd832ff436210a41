"""What the daemon reads in an agent's settings file, which the VM can write to."""

from __future__ import annotations

import json
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from runc_cpi.daemon.storage.tree import Tree
from runc_cpi.daemon.vms.files.guest_files import READ_LIMIT
from runc_cpi.daemon.vms.files.settings_file import told_addresses, told_blocks, told_disks
from tests.harness.trees import write

SETTINGS = "var/vcap/bosh/warden-cpi-agent-env.json"


@pytest.mark.parametrize(
    "content",
    [
        "[" * 200_000,
        '{"a":' * 200_000,
        "9" * 5000,
        '"\\ud800"',
        "[]",
        "null",
        "7",
        b"\xff",
        b"\0",
        b" " * (READ_LIMIT + 1),
        '{"disks": [], "networks": []}',
        '{"disks": null, "networks": {"a": 1, "b": null}}',
        '{"disks": {"persistent": {}}, "networks": {"a": {"ip": ["10.0.0.2"]}}}',
        '{"disks": {"persistent": {}}, "networks": {"a": {"ip": "x"}, "b": {"ip": 1e999}}}',
    ],
)
def test_settings_that_are_none(tmp_path: Path, content: str | bytes) -> None:
    """A settings file that a VM broke names no disk and no address."""
    write(tmp_path, SETTINGS, content)
    with Tree.at(tmp_path) as tree:
        assert told_disks(tree) == {}
        assert told_addresses(tree) == []
        assert told_blocks(tree) == []


def test_addresses_in_the_settings(tmp_path: Path) -> None:
    """The addresses on the interface are read from a settings file, and no virtual ones."""
    networks = {
        "a": {"ip": "10.0.0.2", "type": "manual"},
        "b": {"ip": "192.0.2.1", "type": "vip"},
        "c": {"ip": "bad"},
        "d": {"ip": "10.0.0.16", "type": "manual", "prefix": "28"},
        "e": {"ip": "10.0.0.3", "type": "manual", "prefix": "32"},
        "f": {"ip": "10.0.0.4", "type": "dynamic", "prefix": "24"},
        "g": {"ip": "10.0.0.33", "type": "manual", "prefix": "28"},
    }
    write(tmp_path, SETTINGS, json.dumps({"networks": networks}))
    with Tree.at(tmp_path) as tree:
        told = [f"10.0.0.{last}" for last in (2, 16, 3, 4, 33)]
        assert told_addresses(tree) == [IPv4Address(address) for address in told]
        assert told_blocks(tree) == [IPv4Network("10.0.0.16/28")]
