"""The files that each VM gets of its own before it boots."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from runc_cpi.daemon.base.id_range import IdRange
from runc_cpi.daemon.networks.model import Address
from runc_cpi.daemon.stemcells.features import SYNC_TIME, Features
from runc_cpi.daemon.storage.tree import Tree
from runc_cpi.json_text import loads

AGENT_CONFIG = "var/vcap/bosh/agent.json"
HOSTNAME = "etc/hostname"
READ_LIMIT = 1 << 20  # bytes of a file that a stemcell or a VM can have written

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

MOUNT = "var/vcap/bosh/bin/mount"
# The agent remounts its bind mounts for their flags, and does not say "bind".  The kernel
# takes that for a change of the whole file system, which is not the VM's.
_MOUNT = """\
#!/bin/sh
for argument; do
  [ "$argument" != remount ] || exec /bin/mount "$@" -o bind
done
exec /bin/mount "$@"
"""


@dataclass(frozen=True, kw_only=True)
class GuestFile:
    """
    A file of a VM.

    @ivar name: its path from the VM's root.
    """

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

    All are ordinary files and no mounts: the agent renames over several of them.

    @param address: the VM's main address.
    @param dns: the addresses of name servers.
    @param features: what the stemcell is like inside.
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


def isolated_files() -> list[GuestFile]:
    """
    Return what a VM needs besides if its users have ids of their own.

    The agent's C{PATH} begins with the directory of its own programs.
    """
    return [GuestFile(name=MOUNT, content=_MOUNT, mode=0o755)]


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
        config = loads(raw or b"")
        config["Platform"]["Linux"]["BindMountPersistentDisk"] = binds
    except (ValueError, KeyError, TypeError):
        return []
    return [GuestFile(name=AGENT_CONFIG, content=json.dumps(config, indent=2))]


def write_upper(
    files: Sequence[GuestFile], lower: Path, upper: Path, ids: IdRange | None = None
) -> None:
    """
    Write files into the new, still empty upper layer of an overlay.

    A directory made for them shows in the VM in place of the stemcell's, so it gets
    the owner and mode of that.

    @param lower: the stemcell's root file system.
    @param ids: the ids of the VM's users on the host, or L{None} if they are the host's.
    @raise OSError: if something cannot be written.
    """
    with Tree.at(lower) as tree:
        for file in files:
            path = upper
            for part in Path(file.name).parts[:-1]:
                path /= part
                _make_like(path, tree.stat(str(path.relative_to(upper))), ids)
            target = upper / file.name
            target.touch(mode=0o600, exist_ok=False)
            target.write_text(file.content, "utf-8")
            if ids is not None:
                os.chown(target, ids.first, ids.first)
            target.chmod(file.mode)


def _make_like(path: Path, model: os.stat_result | None, ids: IdRange | None) -> None:
    """Make a directory with the owner and mode of another, unless it is there."""
    if path.is_dir():
        return
    if model is not None and not stat.S_ISDIR(model.st_mode):
        model = None
    path.mkdir()
    path.chmod(0o755 if model is None else stat.S_IMODE(model.st_mode))
    if model is None and ids is None:
        return
    owner, group = (0, 0) if model is None else (model.st_uid, model.st_gid)
    if ids is not None:
        owner, group = ids.of(owner), ids.of(group)
    os.chown(path, owner, group)
