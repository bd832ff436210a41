"""What the BOSH agent does with persistent disks, done inside a VM by its own means."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.harness.vm import SETTINGS, VM

STORE = "/var/vcap/store"
MIGRATION = "/var/vcap/store_migration_target"
BOSH = "/var/vcap/bosh"
CONFIG = f"{BOSH}/agent.json"
HINTS = f"{BOSH}/persistent_disk_hints.json"
MANAGED = f"{BOSH}/managed_disk_settings.json"


class AgentError(Exception):
    """The agent would answer with an error, or not start; the message says why."""


@dataclass(frozen=True)
class Mounted:
    """A line of the table of mounts: what is mounted, and where."""

    source: str
    point: str


class Agent:
    """
    The part of the agent that handles persistent disks.

    In device mode a disk's path is that of a block device; in bind mode it is that of a
    directory, which is mounted once more.

    @param vm: where it runs.
    """

    def __init__(self, vm: VM) -> None:
        self._vm = vm

    @property
    def binds(self) -> bool:
        """Whether it is configured for bind mode."""
        config = json.loads(self._vm.look(CONFIG))
        binds: bool = config["Platform"]["Linux"]["BindMountPersistentDisk"]
        return binds

    def disks(self) -> dict[str, str]:
        """Return the paths of the disks it knows of; hints come before settings."""
        settings = json.loads(self._vm.look(SETTINGS))
        return {**settings["disks"]["persistent"], **self._hints()}

    def add_persistent_disk(self, disk_cid: str, hint: str) -> None:
        """Note where a disk is; nothing is mounted."""
        self._write(HINTS, json.dumps({**self._hints(), disk_cid: hint}))

    def remove_persistent_disk(self, disk_cid: str) -> None:
        """Forget where a disk is."""
        kept = {cid: hint for cid, hint in self._hints().items() if cid != disk_cid}
        self._write(HINTS, json.dumps(kept))

    def mount_disk(self, disk_cid: str) -> str:
        """
        Mount a disk on the store, or beside it if there is one already.

        @return: where.
        """
        path = self._path(disk_cid)
        self._refuse_mounted(path)
        occupied = any(mount.point == STORE for mount in self.mounts())
        point = MIGRATION if occupied else STORE
        self._do("mkdir", "-p", point)
        self._mount(path, point)
        self._write(MANAGED, disk_cid)
        return point

    def list_disk(self) -> list[str]:
        """Name the known disks whose paths are in the table of mounts."""
        names = {name for mount in self.mounts() for name in (mount.source, mount.point)}
        return [disk_cid for disk_cid, path in self.disks().items() if path in names]

    def unmount_disk(self, disk_cid: str) -> None:
        """Unmount a disk, if it is listed."""
        path = self._path(disk_cid)
        if any(path in (mount.source, mount.point) for mount in self.mounts()):
            self._do("umount", path)

    def migrate_disk(self) -> None:
        """Copy the store to the disk beside it, and put that one in its place."""
        self._remount(STORE, STORE, "-o", "ro")
        self._do("sh", "-c", f"(tar -C {STORE} -cf - .) | tar -C {MIGRATION} -xpf -")
        self._do("umount", STORE)
        self._remount(MIGRATION, STORE)

    def start(self) -> None:
        """
        Start, as after a reboot.

        @raise AgentError: if it would not.
        """
        known = self.disks()
        if len(known) > 1:
            raise AgentError(f"Unexpected disk attached: {sorted(known)}")
        last = self.managed_disk()
        if last is not None and last not in known:
            raise AgentError(f"Persistent disk with volume id {last} could not be found")

    def managed_disk(self) -> str | None:
        """Return the disk it mounted last, by its own note."""
        try:
            return self._vm.look(MANAGED)
        except FileNotFoundError:
            return None

    def mounts(self) -> list[Mounted]:
        """Read the table of mounts."""
        lines = Path(f"/proc/{self._vm.pid}/mounts").read_text().splitlines()
        return [Mounted(*line.split()[:2]) for line in lines]

    def points(self, source: str) -> list[str]:
        """Say where something is mounted."""
        return [mount.point for mount in self.mounts() if mount.source == source]

    def _hints(self) -> dict[str, Any]:
        try:
            hints: dict[str, Any] = json.loads(self._vm.look(HINTS) or "{}")
        except FileNotFoundError:
            return {}
        return hints

    def _path(self, disk_cid: str) -> str:
        try:
            return self.disks()[disk_cid]
        except KeyError:
            message = f"Persistent disk with volume id '{disk_cid}' could not be found"
            raise AgentError(message) from None

    def _refuse_mounted(self, path: str) -> None:
        if not self.binds and (points := self.points(path)):
            raise AgentError(f"Device {path} is already mounted to {points[0]}")

    def _mount(self, path: str, point: str, *options: str) -> None:
        how = ["-o", "bind"] if self.binds else []
        self._do("mount", *how, *options, path, point)

    def _remount(self, source: str, target: str, *options: str) -> None:
        device = next(m.source for m in reversed(self.mounts()) if m.point == source)
        self._do("umount", source)
        self._refuse_mounted(device)
        self._mount(device, target, *options)

    def _write(self, name: str, content: str) -> None:
        self._do("sh", "-c", 'printf %s "$1" >"$2"', "sh", content, name)

    def _do(self, *argv: str) -> None:
        outcome: subprocess.CompletedProcess[str] = self._vm.attempt(*argv)
        if outcome.returncode != 0:
            raise AgentError(f"{' '.join(argv)}: {outcome.stderr.strip()}")
