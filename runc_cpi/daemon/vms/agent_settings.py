"""The settings file that the BOSH agent reads at boot."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def agent_settings(
    *,
    vm_cid: str,
    agent_id: str,
    networks: Mapping[str, Mapping[str, Any]],
    macs: Mapping[str, str],
    env: Mapping[str, Any],
    agent: Mapping[str, Any],
    disks: Mapping[str, str],
) -> dict[str, Any]:
    """
    Build the agent's settings.

    @param networks: the networks as the VM has them.
    @param macs: the hardware addresses of the interfaces to them, by network name.
    @param env: C{env} of create_vm, passed on whole: what the agent finds in
        C{env.bosh} (mbus, blobstores, ntp) it prefers over the top level.
    @param agent: C{mbus}, C{ntp} and C{blobstore} of the CPI's configuration.
    @param disks: where persistent disks are found, by their cids; only agents that the
        Director does not tell need it (contract version 1).
    @return: what belongs into C{warden-cpi-agent-env.json}.
    """
    blobstore = agent.get("blobstore") or {}
    return {
        "agent_id": agent_id,
        "vm": {"name": vm_cid, "id": vm_cid},
        "mbus": agent.get("mbus") or "",
        "ntp": list(agent.get("ntp") or []),
        "blobstore": {
            "provider": blobstore.get("provider") or "",
            "options": blobstore.get("options") or {},
        },
        "networks": {
            name: _preconfigured(network, macs[name]) if name in macs else network
            for name, network in networks.items()
        },
        "disks": {"system": "", "ephemeral": "", "persistent": dict(disks)},
        "env": dict(env),
    }


def _preconfigured(network: Mapping[str, Any], mac: str) -> dict[str, Any]:
    # The daemon has set the interface up: the agent must leave it alone.
    return {**network, "mac": mac, "use_dhcp": False, "preconfigured": True}
