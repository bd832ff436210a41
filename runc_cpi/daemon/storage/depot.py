"""The daemon's tree on disk: where everything is, and how it is written safely."""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from pathlib import Path
from uuid import uuid4

from runc_cpi.daemon.storage.records import DRAFT, FILE_MODE, sync_directory

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
DIRECTORY_MODE = 0o700
CHILDREN_TIMEOUT = 60.0
PAUSE = 0.02


class Depot:
    """
    All under one C{work_dir}::

        lock                      held by the one daemon that uses the tree
        children                  held by it, and by what it started
        boot_id                   the boot of the host that C{runtime/} is good for
        stemcells/CID/            stemcell.json, rootfs/
        images/DIGEST/            rootfs/ of an OCI image, for the stemcells made of it
        vms/CID/                  vm.json, config.json, console.log, upper/, data/ ...
        disks/CID/                disk.json, and the disk
        snapshots/CID/            snapshot.json, and the copy
        scratch/                  what is being made, and what is being removed
        runtime/                  the OCI runtime's own state, good for one boot

    A directory appears whole, by a rename, but for a VM's: that one directory counts only
    while C{vm.json} is in it: that file comes last and goes first.
    """

    def __init__(self, work_dir: Path) -> None:
        self.work_dir = work_dir
        self.stemcells = work_dir / "stemcells"
        self.images = work_dir / "images"
        self.vms = work_dir / "vms"
        self.disks = work_dir / "disks"
        self.snapshots = work_dir / "snapshots"
        self.scratch = work_dir / "scratch"
        self.runtime = work_dir / "runtime"
        self._lock: int | None = None
        self._children: int | None = None

    @property
    def mark(self) -> int:
        """A descriptor for children to have, so that the next daemon waits for them."""
        assert self._children is not None
        return self._children

    def prepare(self) -> None:
        """
        Make what is missing, take the lock, and wait for what an earlier daemon started.

        @raise OSError: if that is not possible; C{BlockingIOError} if another daemon
            has the lock, C{TimeoutError}, naming them, if its children do not end.
        """
        for directory in (
            self.work_dir,
            self.stemcells,
            self.images,
            self.vms,
            self.disks,
            self.snapshots,
            self.scratch,
            self.runtime,
        ):
            try:
                directory.mkdir(mode=DIRECTORY_MODE, parents=True)
            except FileExistsError:
                if not directory.is_dir():
                    raise
            if directory != self.work_dir:
                directory.chmod(DIRECTORY_MODE)
        self._lock = _locked(self.work_dir / "lock", patience=0.0)
        try:
            self._children = _locked(self.work_dir / "children", patience=CHILDREN_TIMEOUT)
        except BlockingIOError:
            raise TimeoutError(_holders(self.work_dir / "children")) from None
        self._forget_last_boot()
        self._remove_drafts()

    def _forget_last_boot(self) -> None:
        """Drop the runtime's state of containers that a reboot of the host ended."""
        boot_id = BOOT_ID.read_text("ascii")
        note = self.work_dir / "boot_id"
        if not note.exists() or note.read_text("ascii") != boot_id:
            shutil.rmtree(self.runtime)
            self.runtime.mkdir(mode=DIRECTORY_MODE)
            note.write_text(boot_id, "ascii")

    def _remove_drafts(self) -> None:
        """Remove what a crash left of records that were being written."""
        for directory in (self.stemcells, self.vms, self.disks, self.snapshots):
            for draft in directory.glob(f"*/*.json{DRAFT}"):
                draft.unlink()

    def release(self) -> None:
        """Give the locks back."""
        for lock in (self._lock, self._children):
            if lock is not None:
                os.close(lock)
        self._lock = self._children = None

    def new_scratch(self) -> Path:
        """Make a directory for something that is not whole yet."""
        path = self.scratch / f"new-{uuid4()}"
        path.mkdir(mode=DIRECTORY_MODE)
        return path

    def set_aside(self, path: Path) -> Path:
        """Take a tree out of sight in one step; return where it waits for removal."""
        trash = self.scratch / f"old-{uuid4()}"
        path.rename(trash)
        return trash

    def publish(self, scratch: Path, path: Path) -> None:
        """Make something whole appear at C{path}, so that it outlives a power cut."""
        sync_directory(scratch)
        scratch.rename(path)
        sync_directory(path.parent)


def _locked(path: Path, patience: float) -> int:
    """
    Open a file that nobody else has locked.

    @param patience: for how many seconds to wait for whoever has.
    @raise BlockingIOError: if that does not do.
    """
    fd = os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
    deadline = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                os.close(fd)
                raise
            time.sleep(PAUSE)
        else:
            return fd


def _holders(path: Path) -> str:
    """Name the processes that have a file open."""
    found, real = set(), os.path.realpath(path)
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            # To look at the files themselves could take for ever: some are a VM's.
            if os.readlink(link) == real:
                process = link.parents[1]
                comm = (process / "comm").read_bytes().decode("utf-8", "replace")
                found.add(f"{process.name} ({comm.strip()})")
        except OSError:
            continue  # it ended, or is no file
    return ", ".join(sorted(found))
