"""The directory of a VM: where each of its files is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from runc_cpi.daemon.base.id_range import IdRange
from runc_cpi.daemon.storage import ids

# Directories that every host has, and any user can reach (FHS).
_POINTS = (Path("/mnt"), Path("/media"))


@dataclass(frozen=True)
class Bundle:
    """
    The directory of a VM, which is its container's bundle (OCI runtime specification).

    @ivar path: the directory; it is named after the VM.
    """

    path: Path

    @property
    def vm_cid(self) -> str:
        """The VM."""
        return self.path.name

    @property
    def ids(self) -> IdRange | None:
        """
        The ids of the VM's users on the host, or L{None} if they are the host's own.

        @raise CloudError: if that cannot be known.
        """
        return ids.read(self.path)

    @property
    def root_id(self) -> int:
        """
        The id of the VM's root on the host.

        @raise CloudError: if that cannot be known.
        """
        own = self.ids
        return 0 if own is None else own.first

    @property
    def record(self) -> Path:
        """The record of the VM.  The VM exists while this file does."""
        return self.path / "vm.json"

    @property
    def config(self) -> Path:
        """The specification that the OCI runtime reads, written before each boot."""
        return self.path / "config.json"

    @property
    def rootfs(self) -> Path:
        """The mount point of the root file system; the host sees it empty."""
        return self.path / "rootfs"

    @property
    def isolated_root(self) -> Path:
        """
        The mount point of the root file system of a VM that has ids of its own.

        It is mounted where only the runtime sees it.  The VM's root gets there, and does
        not get into this directory: no other user of the host does.
        """
        return next(point for point in _POINTS if not self.path.is_relative_to(point))

    @property
    def upper(self) -> Path:
        """The upper layer of the root file system: how it differs from the stemcell's."""
        return self.path / "upper"

    @property
    def work(self) -> Path:
        """What the overlay needs beside the upper layer (overlayfs.rst)."""
        return self.path / "work"

    @property
    def root_image(self) -> Path:
        """The image of the root disk, which bounds C{upper} and C{work} if there is one."""
        return self.path / "root"

    @property
    def layers(self) -> Path:
        """
        The mount point of the root disk on the host.

        L{upper}, L{work} and L{data} lead there.
        """
        return self.path / "layers"

    @property
    def data(self) -> Path:
        """
        The directory that a VM without an ephemeral disk has as /var/vcap/data.

        It is a link to the root disk, if there is one, and if the VM is not so old that its
        data is beside it.
        """
        return self.path / "data"

    @property
    def ephemeral(self) -> Path:
        """The image of the ephemeral disk, which is mounted at /var/vcap/data."""
        return self.path / "ephemeral"

    @property
    def disks(self) -> Path:
        """The directory that disks which are directories are mounted in."""
        return self.path / "disks"

    @property
    def console(self) -> Path:
        """What the VM wrote last: a link into L{console_mount}."""
        return self.path / "console.log"

    @property
    def console_mount(self) -> Path:
        """The mount point of the file system that holds the console alone."""
        return self.path / "console"

    @property
    def old_console(self) -> Path:
        """What the VM wrote before that, on the host's file system."""
        return self.path / "console.log.1"

    @property
    def pid_file(self) -> Path:
        """The pid of the container's first process, written by the OCI runtime."""
        return self.path / "pid"

    @property
    def reboot_note(self) -> Path:
        """How far a reboot has come; there is none once it is finished."""
        return self.path / "rebooting"

    def runtime_log(self, operation: str) -> Path:
        """Return the file that the OCI runtime logs an operation to, such as create."""
        return self.path / f"runtime-{operation}.log"
