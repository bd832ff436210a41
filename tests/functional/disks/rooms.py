"""Small file systems, each for a daemon's working directory."""

from __future__ import annotations

import subprocess
from pathlib import Path

MIB = 1 << 20


class Room:
    """
    A file system that holds nothing but a daemon's working directory.

    @ivar path: where it is mounted.
    @param kind: C{tmpfs}, C{ext4} or C{xfs}; the latter two are in a file.
    @param size: MiB.
    """

    def __init__(self, path: Path, kind: str, size: int) -> None:
        self.path = path
        self._file = path.with_name("room") if kind != "tmpfs" else None
        path.mkdir()
        if self._file is None:
            options = ["-t", "tmpfs", "-o", f"size={size * MIB},mode=700", "tmpfs"]
        else:
            with self._file.open("wb") as file:
                file.truncate(size * MIB)
            subprocess.run([f"mkfs.{kind}", "-q", str(self._file)], check=True)
            options = ["-o", "loop", str(self._file)]
        subprocess.run(["mount", *options, str(path)], check=True)

    def remove(self) -> None:
        """Unmount the file system."""
        subprocess.run(["umount", str(self.path)], check=True)
        if self._file is not None:
            self._file.unlink()
