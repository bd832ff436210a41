"""The agent's settings file of a VM: how it is written, and what it says."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from ipaddress import ip_address, ip_network
from typing import Any

from runc_cpi.daemon.networks.model import Address, IPNetwork
from runc_cpi.daemon.storage.tree import Tree
from runc_cpi.daemon.vms.files.guest_files import READ_LIMIT, GuestFile
from runc_cpi.json_text import loads

SETTINGS = "var/vcap/bosh/warden-cpi-agent-env.json"


def settings_file(settings: Mapping[str, Any]) -> GuestFile:
    """Return the agent's settings as the file it reads."""
    return GuestFile(name=SETTINGS, content=json.dumps(settings), mode=0o600)


def told_disks(tree: Tree) -> Any:
    """
    Return the persistent disks that the settings file names, or nothing if it is broken.

    @param tree: the root file system of the VM, or the upper layer of it.
    """
    try:
        return _read(tree)["disks"]["persistent"]
    except (LookupError, TypeError):
        return {}


def told_addresses(tree: Tree) -> list[Address]:
    """
    Return the addresses that the settings file names, without virtual ones.

    @param tree: the root file system of the VM, or the upper layer of it.
    @return: no address if the file is broken.
    """
    found = []
    for network in _real_networks(tree):
        with suppress(ValueError):
            found.append(ip_address(str(network.get("ip"))))
    return found


def told_blocks(tree: Tree) -> list[IPNetwork]:
    """
    Return the blocks of addresses that the settings file names.

    @param tree: the root file system of the VM, or the upper layer of it.
    @return: no block if the file is broken.
    """
    found = []
    for network in _real_networks(tree):
        if network.get("type") == "manual":
            with suppress(ValueError):
                block = ip_network(f"{network.get('ip')}/{network.get('prefix')}")
                if block.prefixlen < block.max_prefixlen:
                    found.append(block)
    return found


def _real_networks(tree: Tree) -> list[dict[str, Any]]:
    """Return the networks that the settings file has, without virtual ones."""
    try:
        networks = list(_read(tree)["networks"].values())
    except (LookupError, TypeError, AttributeError):
        return []
    return [
        network
        for network in networks
        if isinstance(network, dict) and network.get("type") != "vip"
    ]


def _read(tree: Tree) -> Any:
    """Return what is in the file, which the VM can write to, or L{None}."""
    try:
        return loads(tree.read(SETTINGS, READ_LIMIT) or b"")
    except ValueError:
        return None
