"""The layout of the daemon's work_dir, and what is done to it before it is used."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

from runc_cpi.daemon.storage.drafts import DIRECTORY_MODE
from runc_cpi.daemon.storage.lock import DaemonLock, nobody
from runc_cpi.daemon.storage.records import remove_drafts

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

# What a daemon makes in its work_dir; all else there is somebody else's. The lock comes
# last, as it tells that a daemon has used the directory.
NAMES = (
    *("vms", "disks", "snapshots", "stemcells", "images", "networks", "events", "scratch"),
    *("runtime", "boot_id", "children", "lock"),
)


class Depot:
    """
    All under one C{work_dir}::

        lock                      held by the one daemon that uses the work_dir
        children                  held by it, and by the processes that it started
        boot_id                   the boot of the host that runtime/ is good for
        stemcells/CID/            stemcell.json, rootfs/
        images/DIGEST/            rootfs/ of an OCI image, for the stemcells made of it
        vms/CID/                  vm.json, config.json, console.log, root, data/ ...
        disks/CID/                disk.json, and the disk
        snapshots/CID/            snapshot.json, and the copy
        networks/CID/             network.json of a network that the director manages
        events/                   what happened: events.jsonl, events.old.jsonl
        scratch/                  what is being made, and what is being removed
        runtime/                  the OCI runtime's own state, good for one boot

    A directory appears whole, by a rename.  Only a VM's does not: it counts as a VM while
    C{vm.json} is in it, a file that is written last and removed first.
    """

    def __init__(self, work_dir: Path) -> None:
        self.work_dir = work_dir
        self.stemcells = work_dir / "stemcells"
        self.images = work_dir / "images"
        self.vms = work_dir / "vms"
        self.disks = work_dir / "disks"
        self.snapshots = work_dir / "snapshots"
        self.networks = work_dir / "networks"
        self.events = work_dir / "events"
        self.scratch = work_dir / "scratch"
        self.runtime = work_dir / "runtime"
        self._lock = DaemonLock(work_dir)

    @property
    def mark(self) -> int:
        """A descriptor for children to inherit, so that the next daemon waits for them."""
        return self._lock.mark

    @property
    def cgroup_parent(self) -> str:
        """Below which path the cgroups of VMs are; two daemons on one host differ."""
        return f"/runc-cpid-{sha256(str(self.work_dir).encode()).hexdigest()[:8]}"

    def prepare(self, may_end: Callable[[int], bool] = nobody) -> None:
        """
        Make the directories, take the lock, and remove what is of no use any more.

        @param may_end: says of the pid of a child of an earlier daemon whether it is to be
            ended, and not waited for.
        @raise BlockingIOError: if another daemon uses the C{work_dir}.
        @raise TimeoutError: if children of an earlier daemon do not end; it names them.
        @raise OSError: if the C{work_dir} cannot be made or written.
        """
        self._make_directories()
        self._lock.take(may_end)
        self._forget_last_boot()
        remove_drafts(self.stemcells, self.vms, self.disks, self.snapshots, self.networks)

    def _make_directories(self) -> None:
        for directory in (
            self.work_dir,
            self.stemcells,
            self.images,
            self.vms,
            self.disks,
            self.snapshots,
            self.networks,
            self.events,
            self.scratch,
            self.runtime,
        ):
            try:
                directory.mkdir(mode=DIRECTORY_MODE, parents=True)
            except FileExistsError:
                if not directory.is_dir():
                    raise
            # The work_dir itself may be a directory that other programs use as well.
            if directory != self.work_dir:
                directory.chmod(DIRECTORY_MODE)

    def _forget_last_boot(self) -> None:
        """Remove the runtime's state of containers that a reboot of the host ended."""
        boot_id = BOOT_ID.read_text("ascii")
        note = self.work_dir / "boot_id"
        if not note.exists() or note.read_text("ascii") != boot_id:
            shutil.rmtree(self.runtime)
            self.runtime.mkdir(mode=DIRECTORY_MODE)
            note.write_text(boot_id, "ascii")

    def release(self) -> None:
        """Release the lock, so that another daemon may use the C{work_dir}."""
        self._lock.release()
