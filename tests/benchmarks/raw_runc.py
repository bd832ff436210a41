"""Containers like those of VMs, made by bare C{runc}: no daemon, and no network."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from itertools import count
from pathlib import Path

from tests.benchmarks.contenders import Ours
from tests.benchmarks.measuring import command

MOUNT = 'mount -t overlay -o "$1" overlay "$2" && shift 2 && exec "$@"'


class RawRunc:
    """
    Makes and ends containers with the specification of a VM.

    @param home: a directory for their bundles and states.
    """

    def __init__(self, ours: Ours, home: Path) -> None:
        vm_cid = ours.create_vm()
        config = ours.daemon.work_dir / "vms" / vm_cid / "config.json"
        self._spec = config.read_text("utf-8")
        ours.tidy("delete_vm", vm_cid)
        self._lower = ours.daemon.rootfs_of(ours.stemcell)
        self._home, self._numbers = home, count()
        self._base = ["runc", "--root", str(home / "runc")]

    def bundle(self) -> Path:
        """Make the bundle of one more container."""
        bundle = self._home / f"raw-{os.getpid()}-{next(self._numbers)}"
        for part in ("rootfs", "upper", "work", "data"):
            (bundle / part).mkdir(parents=True)
        spec = json.loads(self._spec)
        for mount in spec["mounts"]:
            if mount["destination"] == "/var/vcap/data":
                mount["source"] = str(bundle / "data")
        spec["linux"]["cgroupsPath"] = f"/{bundle.name}"
        (bundle / "config.json").write_text(json.dumps(spec))
        return bundle

    def _inside_overlay(self, bundle: Path) -> list[str]:
        layers = f"lowerdir={self._lower},upperdir={bundle}/upper,workdir={bundle}/work"
        shell = ["sh", "-c", MOUNT, "overlay", layers, str(bundle / "rootfs")]
        return ["unshare", "--mount", "--propagation", "slave", *shell]

    def run(self, bundle: Path) -> None:
        """Create a container, and start it."""
        with (bundle / "console").open("wb") as console:
            create = [*self._base, "create", "--bundle", str(bundle), bundle.name]
            subprocess.run(
                [*self._inside_overlay(bundle), *create],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                check=True,
            )
        command([*self._base, "start", bundle.name])

    def end(self, bundle: Path) -> None:
        """End a container, and remove it."""
        command([*self._base, "delete", "--force", bundle.name])

    def restart(self, bundle: Path) -> None:
        """End a container, and make it again."""
        self.end(bundle)
        self.run(bundle)

    def remove(self, bundle: Path) -> None:
        """Remove the bundle of a container that has ended."""
        shutil.rmtree(bundle)
