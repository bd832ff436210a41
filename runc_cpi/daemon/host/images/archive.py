"""Unpacking images: a decompressor piped into tar, fed from a file or from a stream."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, DeferredSemaphore, gatherResults, succeed
from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer

from runc_cpi.daemon.base.outcome import Outcome
from runc_cpi.daemon.host.images import reading
from runc_cpi.daemon.host.processes import Child, Processes
from runc_cpi.daemon.stemcells.interfaces import IArchiver, IUpload
from runc_cpi.errors import CloudError, InvalidArgument, NoDiskSpace, StemcellRejected

UNPACK_TIMEOUT = 3600.0
PIPE_SIZE = 1 << 20
_F_SETPIPE_SZ = 1031

# By the first bytes of what they read; of each line the first that is installed.
DECOMPRESSORS: tuple[tuple[bytes, tuple[tuple[str, ...], ...]], ...] = (
    (b"\x1f\x8b", (("igzip", "-dc"), ("pigz", "-dc"), ("gzip", "-dc"))),
    (b"\x28\xb5\x2f\xfd", (("zstd", "-dcq"),)),
    (b"\xfd7zXZ\x00", (("xz", "-dc"),)),
    (b"BZh", (("bzip2", "-dc"),)),
)
# tar does not always say more than how far it came.
DISK_FULL = re.compile(rb"No space left on device|Wrote only \d+ of")
TAR_MAGIC = b"ustar"
TAR_MAGIC_AT = 257

# Who owns what, modes, links, capabilities and ACLs stay as packed.  trusted.* is left
# out: overlayfs would take it for its own (tar(1), kernel's overlayfs.rst).
TAR = (
    "tar",
    "--extract",
    "--file=-",
    "--numeric-owner",
    "--same-owner",
    "--preserve-permissions",
    "--xattrs",
    "--xattrs-include=user.*",
    "--xattrs-include=security.capability",
    "--acls",
    "--delay-directory-restore",
    "--warning=no-timestamp",
    # Has it say how the archive ended: with status 0 it ends for want of input, too.
    "--block-number",
)
WHOLE = b"** Block of NULs **"
# gzip(1) and pigz(1) take it for a reason to end with status 2, igzip(1) for none.
IGNORED = re.compile(rb"trailing (garbage|junk)")
# An image is at the mercy of its sender, or of the file system that it is on, so there may
# be more of them than processors.
UPLOADS = 16
# For how many seconds a file system may not answer.
PATIENCE = 30.0


def decompressor_for(header: bytes) -> Sequence[str] | None:
    """
    Choose what reads an image that begins with C{header}.

    @return: an argument list, or L{None} for a plain tar archive.
    @raise StemcellRejected: if it is nothing that can be read here.
    """
    for magic, programs in DECOMPRESSORS:
        if header.startswith(magic):
            for argv in programs:
                if shutil.which(argv[0]):
                    return argv
            wanted = " or ".join(argv[0] for argv in programs)
            raise StemcellRejected(f"the image needs {wanted}, not installed here")
    if header[TAR_MAGIC_AT:].startswith(TAR_MAGIC):
        return None
    begins = header[:8].hex(" ") or "nothing: it is empty"
    raise StemcellRejected(
        "the image is no tar archive, plain or compressed by gzip, zstd, xz or bzip2; "
        f"it begins with {begins}"
    )


class _Pipeline:
    """
    The processes that unpack one image.

    @param source: where the first of them reads: a descriptor, or C{"w"} to be written
        to.
    """

    def __init__(
        self, processes: Processes, header: bytes, source: int | str, target: Path
    ) -> None:
        tar = [*TAR, f"--directory={target}"]
        first = decompressor_for(header)
        self._killed: set[Child] = set()
        if first is None:
            self._children = [self._spawn(processes, tar, source, None)]
        else:
            readable, writable = os.pipe2(os.O_CLOEXEC)
            _enlarge(writable)
            self._children = []
            try:
                self._children += [self._spawn(processes, first, source, writable)]
                self._children += [self._spawn(processes, tar, readable, None)]
            except CloudError:
                self.kill()
                raise
            finally:
                os.close(readable)
                os.close(writable)

    @staticmethod
    def _spawn(
        processes: Processes,
        argv: Sequence[str],
        source: int | str,
        sink: int | None,
    ) -> Child:
        fds = {0: source, 1: "r" if sink is None else sink, 2: "r"}
        return processes.spawn(argv, timeout=UNPACK_TIMEOUT, child_fds=fds)

    @property
    def stdin(self) -> Any:
        """The transport of the first process."""
        return self._children[0].transport

    @property
    def broken(self) -> bool:
        """Whether a process has failed."""
        outcomes = [child.outcome for child in self._children]
        return any(outcome is not None and not _is_good(outcome) for outcome in outcomes)

    @property
    def sated(self) -> bool:
        """Whether the first process has all it wants: what else comes is ignored."""
        return self._children[0].outcome is not None

    def kill(self) -> None:
        """End all at once."""
        for child in self._children:
            if child.outcome is None:
                self._killed.add(child)
                child.kill()

    async def ended(self) -> list[Outcome]:
        """Wait for all."""
        return list(await gatherResults([child.ended for child in self._children]))

    async def succeeded(self) -> None:
        """
        Wait for all, and tell what failed.

        @raise NoDiskSpace: if the file system ran full.
        @raise StemcellRejected: if the image is at fault.
        """
        outcomes = await self.ended()
        for outcome in reversed(outcomes):
            if DISK_FULL.search(outcome.stderr):
                raise NoDiskSpace("the disk ran full while the image was unpacked")
        # Who was killed because of another is not at fault.
        ended = zip(self._children, outcomes, strict=True)
        own = [outcome for child, outcome in ended if child not in self._killed]
        for outcome in own or outcomes:
            if not _is_good(outcome) and outcome.signal != signal.SIGPIPE:
                raise StemcellRejected(f"the image cannot be unpacked: {_why(outcome)}")
        if WHOLE not in outcomes[-1].stdout:
            raise StemcellRejected("the image is cut short: its archive has no end")


def _read_well(outcome: Outcome) -> Outcome:
    if not outcome.ok:
        complaint = outcome.stderr.decode("utf-8", "replace").strip()
        raise InvalidArgument(complaint or f"the image cannot be read: {outcome.ending}")
    return outcome


def _is_good(outcome: Outcome) -> bool:
    return outcome.ok or (outcome.status == 2 and bool(IGNORED.search(outcome.stderr)))


def _why(outcome: Outcome) -> str:
    lines = outcome.stderr.decode("utf-8", "replace").splitlines()
    told = [line for line in lines if "Exiting with failure status" not in line]
    return "; ".join([outcome.ending, *told[:3]])


def _enlarge(pipe: int) -> None:
    try:
        fcntl.fcntl(pipe, _F_SETPIPE_SZ, PIPE_SIZE)
    except PermissionError:
        return  # above /proc/sys/fs/pipe-max-size; the usual size will do


@implementer(IPushProducer)
class _Valve:
    """Fires waiting writers once a child's stdin has room again."""

    def __init__(self, stdin: Any) -> None:
        self._full = False
        self._waiting: list[Deferred[None]] = []
        stdin.registerProducer(self, True)

    def wait(self) -> Deferred[None]:
        """Return what fires when there is room."""
        if not self._full:
            return succeed(None)
        room: Deferred[None] = Deferred()
        self._waiting.append(room)
        return room

    def pauseProducing(self) -> None:
        """No room; this is called again for each write above the mark."""
        self._full = True

    def resumeProducing(self) -> None:
        """There is room."""
        self._full, waiting, self._waiting = False, self._waiting, []
        for room in waiting:
            room.callback(None)

    def stopProducing(self) -> None:
        """The child hung up; its outcome says why."""
        self.resumeProducing()


@implementer(IUpload)
class Upload:
    """
    An image that comes in pieces.

    @param slots: one is taken while it is unpacked.
    """

    def __init__(
        self, processes: Processes, slots: DeferredSemaphore, target: Path
    ) -> None:
        self._processes, self._slots, self._target = processes, slots, target
        self._head = b""
        self._pipeline: _Pipeline | None = None
        self._valve: _Valve | None = None

    async def write(self, data: bytes) -> None:
        """
        Take the next bytes; return once they are accepted downstream.

        @raise CPIError: what went wrong, as soon as it is known.
        """
        if self._pipeline is None:
            self._head += data
            if len(self._head) < reading.HEADER_SIZE:
                return
            data = await self._begin()
        await self._pass_on(data)

    async def finish(self) -> None:
        """
        There are no more bytes: wait until all is unpacked.

        @raise CPIError: if it cannot be.
        """
        if self._pipeline is None:
            await self._pass_on(await self._begin())
        assert self._pipeline is not None
        stdin = self._pipeline.stdin
        stdin.unregisterProducer()
        stdin.closeStdin()
        await self._pipeline.succeeded()

    async def abort(self) -> None:
        """Give up, and wait until no process is left."""
        if self._pipeline is not None:
            self._pipeline.kill()
            await self._pipeline.ended()

    async def _begin(self) -> bytes:
        await self._slots.acquire()
        try:
            self._pipeline = _Pipeline(self._processes, self._head, "w", self._target)
        except BaseException:
            self._slots.release()
            raise
        ended = Deferred.fromCoroutine(self._pipeline.ended())
        ended.addCallback(lambda _: self._slots.release())
        self._valve = _Valve(self._pipeline.stdin)
        return self._head

    async def _pass_on(self, data: bytes) -> None:
        assert self._pipeline is not None
        assert self._valve is not None
        if self._pipeline.broken:
            self._pipeline.kill()
            await self._pipeline.succeeded()
        if not self._pipeline.sated:
            self._pipeline.stdin.write(data)
            await self._valve.wait()


@implementer(IArchiver)
class Archiver:
    """Unpacks images."""

    def __init__(self, processes: Processes) -> None:
        self._processes = processes
        self._files = DeferredSemaphore(UPLOADS)
        self._uploads = DeferredSemaphore(UPLOADS)

    def open(self, target: Path) -> Upload:
        """Unpack into C{target} what will be written."""
        return Upload(self._processes, self._uploads, target)

    async def unpack(self, image: int, target: Path) -> None:
        """
        Unpack into C{target} the file that is in the parcel C{image}.

        @raise InvalidArgument: if that is no ordinary file, or cannot be read.
        @raise CPIError: if it cannot be unpacked.
        """
        await self._files.acquire()
        try:
            child = self._read("head", image, "r")
            header = _read_well(await child.ended).stdout
            await self._unpack(image, header, target)
        finally:
            self._files.release()

    async def _unpack(self, image: int, header: bytes, target: Path) -> None:
        readable, writable = os.pipe2(os.O_CLOEXEC)
        _enlarge(writable)
        try:
            pipeline = _Pipeline(self._processes, header, readable, target)
            child = self._read("all", image, writable)
        finally:
            os.close(readable)
            os.close(writable)
        outcome = await child.ended
        if not outcome.ok:
            pipeline.kill()
            await pipeline.ended()
        _read_well(outcome)
        await pipeline.succeeded()

    def _read(self, what: str, image: int, output: int | str) -> Child:
        return self._processes.spawn(
            reading.command(what, PATIENCE),
            timeout=UNPACK_TIMEOUT,
            child_fds={0: image, 1: output, 2: "r"},
            marked=False,
        )
