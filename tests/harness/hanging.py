"""
A program: a caller with an image on a file system that stops to answer.

It serves the file system (FUSE, by the kernel's own protocol); a child of it is the caller.
Whoever ends it sets free all that hangs.  The tests themselves never touch the file.
"""

from __future__ import annotations

import ctypes
import os
import stat
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from runc_cpi.cpi.client import Client
from runc_cpi.cpi.config import load
from runc_cpi.daemon.base import parcels
from runc_cpi.daemon.host.images import reading
from runc_cpi.errors import CPIError

CLONE_NEWNS = 0x00020000
MS_PRIVATE_REC = 1 << 18 | 1 << 14
ROOT, IMAGE = 1, 2
LOOKUP, GETATTR, OPEN, READ, INIT = 1, 3, 14, 15, 26
DIRECT_IO = 1
HEADER = struct.Struct("<IIQQIIIHH")
HANGS = "hangs"
SECONDS = 1.0


def is_there() -> bool:
    """Whether this machine lets file systems be served by programs."""
    try:
        os.close(os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC))
    except OSError:
        return False
    return True


def _attributes(node: int, size: int) -> bytes:
    mode = stat.S_IFDIR | 0o755 if node == ROOT else stat.S_IFREG | 0o644
    return struct.pack("<6Q10I", node, size, 0, *[0] * 6, mode, 1, *[0] * 5)


class FileSystem:
    """
    A directory with one file, C{image}.

    @param content: what is in the file.
    @param answered: how many bytes of it can be read; with 0 even its attributes cannot.
    """

    def __init__(self, content: bytes, answered: int) -> None:
        self._content, self._answered = content, answered
        self._device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)

    def mount(self, point: Path) -> None:
        """Mount it where this process and its children alone see it."""
        libc = ctypes.CDLL(None, use_errno=True)
        options = f"fd={self._device},rootmode=40000,user_id=0,group_id=0".encode()
        for result in (
            libc.unshare(CLONE_NEWNS),
            libc.mount(None, b"/", None, ctypes.c_ulong(MS_PRIVATE_REC), None),
            libc.mount(b"hanging", bytes(point), b"fuse", ctypes.c_ulong(0), options),
        ):
            if result != 0:
                raise OSError(ctypes.get_errno(), "no FUSE here")

    def leave(self) -> None:
        """Have this process be one of those that use it."""
        os.close(self._device)

    def serve(self) -> None:
        """Answer, or do not, until this process is ended."""
        while True:
            request = os.read(self._device, 1 << 20)
            _, code, number, node, *_ = HEADER.unpack_from(request)
            answer = self._answer(code, node, request[HEADER.size :])
            if answer is None:
                print(HANGS, flush=True)
            else:
                head = struct.pack("<IiQ", 16 + len(answer), 0, number)
                os.write(self._device, head + answer)

    def _answer(self, code: int, node: int, body: bytes) -> bytes | None:
        size = len(self._content)
        if code == INIT:
            return struct.pack("<4I2H2I36x", 7, 31, 0, 0, 0, 0, 1 << 17, 1)
        if code == LOOKUP:
            return struct.pack("<4Q2I", IMAGE, 0, 0, 0, 0, 0) + _attributes(IMAGE, size)
        if code == OPEN:
            return struct.pack("<QII", 0, DIRECT_IO, 0)
        if code == GETATTR and (node == ROOT or self._answered):
            return struct.pack("<QII", 0, 0, 0) + _attributes(node, size)
        if code == READ:
            _, offset, length = struct.unpack_from("<QQI", body)
            if offset < self._answered:
                return self._content[offset : offset + length]
        return None


def import_stemcell(config: Path) -> Callable[[int], str]:
    """Return what has a daemon make a stemcell of an open file."""

    def call(image: int) -> str:
        client = Client(load(str(config), {}), "hanging")
        arguments = ("ImportStemcell", "image", image)
        try:
            return str(client.call_with_file(*arguments, cloud_properties={}))
        except CPIError as error:
            return f"{type(error).__name__}: {error}"

    return call


def read(what: str) -> Callable[[int], str]:
    """Return what has the daemon's program read an open file."""

    def call(image: int) -> str:
        # To start a program with the file open would hang as well.
        parcel = parcels.pack(image)
        finished = subprocess.run(
            reading.command(what, SECONDS),
            stdin=parcel,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            check=False,
            text=True,
        )
        return f"{finished.returncode} {finished.stderr.strip()}"

    return call


def main() -> None:
    """Mount, open the image, have it used, and print what comes of that."""
    content, answered, point, use, argument = sys.argv[1:]
    files = FileSystem(Path(content).read_bytes(), int(answered))
    files.mount(Path(point))
    if os.fork() != 0:
        files.serve()
    files.leave()
    image = os.open(Path(point) / "image", os.O_RDONLY | os.O_CLOEXEC)
    call = import_stemcell(Path(argument)) if use == "import" else read(argument)
    print(call(image), flush=True)


if __name__ == "__main__":
    main()
