"""An attacker with a VM: does to it from outside what root in it could do."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.harness.vm import VM

PATIENCE = 60.0
# Mounts a FUSE file system in another mount namespace, and never answers.
_SILENT = """
import ctypes, os, sys
pid, place = int(sys.argv[1]), os.fsencode(sys.argv[2])
fuse = os.open("/dev/fuse", os.O_RDWR)
space = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY)
libc = ctypes.CDLL(None, use_errno=True)
options = b"fd=%d,rootmode=40000,user_id=0,group_id=0" % fuse
if libc.setns(space, 0) or libc.mount(b"silent", place, b"fuse", 0, options):
    raise OSError(ctypes.get_errno(), "setns or mount")
print("mounted", flush=True)
sys.stdin.read()
"""


def root(vm: VM) -> Path:
    """Return the path of a running VM's root, as the VM sees it."""
    return Path(f"/proc/{vm.pid}/root")


def mount(vm: VM, *arguments: str | bytes) -> None:
    """Mount something in a VM."""
    run(vm, "/bin/mount", *arguments)


def run(vm: VM, *argv: str | bytes) -> None:
    """Run a program of a VM's without the runtime; it must succeed."""
    outcome = attempt(vm, *argv)
    assert outcome.returncode == 0, (argv, outcome.stderr)


def attempt(vm: VM, *argv: str | bytes) -> subprocess.CompletedProcess[bytes]:
    """Run a program of a VM's without the runtime; it may fail."""
    enter = ["nsenter", "--target", str(vm.pid), "--mount", "--root"]
    return subprocess.run(
        [*map(os.fsencode, enter), *map(os.fsencode, argv)],
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )


@contextmanager
def silent(vm: VM, place: str) -> Iterator[None]:
    """Block whoever looks at a directory of a VM, for a while."""
    with subprocess.Popen(
        [sys.executable, "-c", _SILENT, str(vm.pid), place],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as server:
        try:
            assert server.stdout is not None
            assert server.stdout.readline() == b"mounted\n"
            yield
        finally:
            server.send_signal(signal.SIGKILL)


class Canary:
    """
    A block device that nobody may write to.

    @ivar number: as C{st_rdev} has it.
    """

    def __init__(self, backing: Path) -> None:
        self._backing = backing
        self._content = bytes(range(256)) * 4096
        backing.write_bytes(self._content)
        argv = ["losetup", "--find", "--show", str(backing)]
        self._device = subprocess.check_output(argv, text=True).strip()
        self.number = os.stat(self._device).st_rdev

    def remove(self) -> None:
        """Remove the device."""
        subprocess.run(["losetup", "--detach", self._device], check=True)
        self._backing.unlink()

    def check(self) -> None:
        """Fail if somebody wrote to it."""
        subprocess.run(["blockdev", "--flushbufs", self._device], check=True)
        assert self._backing.read_bytes() == self._content
