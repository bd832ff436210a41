"""The files that each VM gets of its own, and what its agent left in them."""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from runc_cpi.daemon.networks.model import Address
from runc_cpi.daemon.stemcells.features import SYNC_TIME, Features
from runc_cpi.daemon.storage.tree import Tree

AGENT_CONFIG = "var/vcap/bosh/agent.json"
MANAGED_DISK = "var/vcap/bosh/managed_disk_settings.json"
HOSTNAME = "etc/hostname"
VALID_HOSTNAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,62}")
MOUNT_POINTS = ("dev", "proc", "sys")
READ_LIMIT = 1 << 20
SETTINGS = "var/vcap/bosh/warden-cpi-agent-env.json"

_NO_SYNC_TIME = """\
#!/bin/sh
# The host keeps the time of its containers.
exit 0
"""

# Until systemd-resolved is up, /etc/resolv.conf is a plain file that works; from then
# on it is resolved's, as the agent and BOSH DNS expect.  "+" leaves the unit's sandbox,
# in which /etc is read-only, and "-" lets resolved start all the same (systemd.service(5)).
_RESOLVED_UNIT = """\
[Service]
ExecStartPost=-+/bin/ln -sf ../run/systemd/resolve/stub-resolv.conf /etc/resolv.conf
"""


@dataclass(frozen=True, kw_only=True)
class GuestFile:
    """A file of a VM: its name from the VM's root, its mode and what is in it."""

    name: str
    content: str
    mode: int = 0o644


def guest_files(
    *,
    vm_cid: str,
    address: Address,
    dns: Sequence[str],
    features: Features,
) -> list[GuestFile]:
    """
    Return the files a VM needs before it boots.

    All are ordinary files: the agent renames over several of them.
    """
    hosts = f"127.0.0.1 localhost\n::1 localhost ip6-localhost\n{address} {vm_cid}\n"
    resolv_conf = "".join(f"nameserver {server}\n" for server in dns)
    files = [
        GuestFile(name=HOSTNAME, content=vm_cid + "\n"),
        GuestFile(name="etc/hosts", content=hosts),
        GuestFile(name="etc/resolv.conf", content=resolv_conf),
    ]
    if features.sync_time:
        files.append(GuestFile(name=SYNC_TIME, content=_NO_SYNC_TIME, mode=0o755))
    if features.resolved:
        # Fallback only: what the agent configures replaces it.
        servers = f"[Resolve]\nFallbackDNS={' '.join(dns)}\n"
        drop_in = "etc/systemd/{}.d/05-runc-cpi.conf"
        files += [
            GuestFile(name=drop_in.format("resolved.conf"), content=servers),
            GuestFile(
                name=drop_in.format("system/systemd-resolved.service"),
                content=_RESOLVED_UNIT,
            ),
        ]
    return files


def settings_file(settings: Mapping[str, Any]) -> GuestFile:
    """Return the agent's settings as the file it reads."""
    return GuestFile(name=SETTINGS, content=json.dumps(settings), mode=0o600)


def agent_config(rootfs: Path, *, binds: bool) -> list[GuestFile]:
    """
    Return the agent's own configuration, made to fit the kind of disks there are.

    @param rootfs: of the stemcell.
    @param binds: whether persistent disks are directories for the agent to bind-mount.
        As block devices they go through all that the agent does to a disk; as bind
        mounts they cannot be migrated.
    @return: the file, or nothing if the stemcell has none to change.
    """
    with Tree.at(rootfs) as tree:
        raw = tree.read(AGENT_CONFIG, READ_LIMIT)
    try:
        config = json.loads(raw or b"")
        config["Platform"]["Linux"]["BindMountPersistentDisk"] = binds
    except (ValueError, KeyError, TypeError, RecursionError):
        return []
    return [GuestFile(name=AGENT_CONFIG, content=json.dumps(config, indent=2))]


def hostname(tree: Tree) -> str | None:
    """Return the host name that the agent gave a VM, or L{None}."""
    raw = tree.read(HOSTNAME, READ_LIMIT)
    name = (raw or b"").decode("utf-8", "replace").strip()
    return name if VALID_HOSTNAME.fullmatch(name) else None


def told_disks(tree: Tree) -> Any:
    """Return what the agent's settings file says of disks; nothing if it is no good."""
    try:
        return _settings(tree)["disks"]["persistent"]
    except (LookupError, TypeError):
        return {}


def told_addresses(tree: Tree) -> list[IPv4Address]:
    """Return the addresses in the agent's settings file; none if it is no good."""
    try:
        networks = list(_settings(tree)["networks"].values())
    except (LookupError, TypeError, AttributeError):
        return []
    real = [
        network.get("ip")
        for network in networks
        if isinstance(network, dict) and network.get("type") != "vip"
    ]
    found = []
    for address in real:
        with suppress(ValueError):
            found.append(IPv4Address(address))
    return found


def _settings(tree: Tree) -> Any:
    """Return what is in the agent's settings file, which the VM can write to."""
    try:
        return json.loads(tree.read(SETTINGS, READ_LIMIT) or b"")
    except (ValueError, RecursionError):
        return None


def managed_disk(tree: Tree) -> str | None:
    """Return the disk that the agent of a VM mounted last, going by its own note."""
    raw = tree.read(MANAGED_DISK, READ_LIMIT)
    return raw.decode("utf-8", "replace").strip() or None if raw is not None else None


def forget_managed_disk(tree: Tree) -> None:
    """Remove that note: an agent does not start when the disk is gone."""
    tree.remove(MANAGED_DISK)


def write_upper(files: Sequence[GuestFile], lower: Path, upper: Path) -> None:
    """
    Write files into the new, still empty upper layer of an overlay.

    A directory made for them shows in the VM in place of the stemcell's, so it gets
    that one's owner and mode.
    """
    with Tree.at(lower) as tree:
        for file in files:
            path = upper
            for part in Path(file.name).parts[:-1]:
                path /= part
                _make_like(path, tree.stat(str(path.relative_to(upper))))
            target = upper / file.name
            target.touch(mode=0o600, exist_ok=False)
            target.write_text(file.content, "utf-8")
            target.chmod(file.mode)


def make_mount_points(lower: Path, upper: Path) -> None:
    """
    See that what the runtime mounts on is a directory of the VM, and no link.

    The runtime goes by some of these names on the host (for /dev/ptmx and the like), and
    a link that a stemcell or a VM put there would have it write to where that leads.

    @param lower: the stemcell's root file system.
    @param upper: what differs from it in the VM, which does not run.
    """
    for name in MOUNT_POINTS:
        found = [path for path in (upper / name, lower / name) if os.path.lexists(path)]
        if not found or not stat.S_ISDIR(os.lstat(found[0]).st_mode):
            (upper / name).unlink(missing_ok=True)
            (upper / name).mkdir()
            (upper / name).chmod(0o755)


def _make_like(path: Path, model: os.stat_result | None) -> None:
    if path.is_dir():
        return
    if model is not None and not stat.S_ISDIR(model.st_mode):
        model = None
    path.mkdir()
    path.chmod(0o755 if model is None else stat.S_IMODE(model.st_mode))
    if model is not None:
        os.chown(path, model.st_uid, model.st_gid)
