"""A real lxcfs, mounted where a test wants it."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.harness.waiting import eventually


class Lxcfs:
    """
    One lxcfs at a time.

    @param point: a directory that is there.
    """

    def __init__(self, point: Path) -> None:
        self._point = point
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Mount it, and wait until it answers."""
        pid_file = self._point.with_suffix(".pid")
        # A mount that nobody answers for is still in the way.
        self.unmount()
        with self._point.with_suffix(".log").open("wb") as log:
            argv = ["lxcfs", "--enable-cfs", "-f", "-p", str(pid_file), str(self._point)]
            process = subprocess.Popen(argv, stdout=log, stderr=log)
        self._process = process
        sign = self._point / "proc/meminfo"

        def answers_or_ended() -> bool:
            return sign.exists() or process.poll() is not None

        eventually(answers_or_ended, "lxcfs answers")
        assert sign.exists(), self._point.with_suffix(".log").read_text()

    def signal(self, number: int) -> None:
        """Send it a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """End it with no chance to unmount."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def unmount(self) -> None:
        """Remove the mount, if there is one."""
        if str(self._point) in Path("/proc/self/mounts").read_text():
            subprocess.run(["umount", "--lazy", str(self._point)], check=True)

    def stop(self) -> None:
        """End it, in whatever state it is."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self.kill()
        self.unmount()


@contextmanager
def lxcfs(point: Path) -> Iterator[Lxcfs]:
    """Have lxcfs at a directory; skip where there is no FUSE."""
    try:
        os.close(os.open("/dev/fuse", os.O_RDWR))
    except OSError as error:
        pytest.skip(f"lxcfs needs FUSE, which this machine has not: {error}")
    point.mkdir()
    server = Lxcfs(point)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        with suppress(FileNotFoundError):
            point.rmdir()
