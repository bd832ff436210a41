"""The processes that unpack an image: a decompressor piped into tar."""

from __future__ import annotations

import fcntl
import os
import re
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from twisted.internet.defer import gatherResults

from runc_cpi.daemon.base.outcome import Outcome
from runc_cpi.daemon.host.images.formats import decompressor_for
from runc_cpi.daemon.host.processes import Child, Processes
from runc_cpi.errors import CloudError, NoDiskSpace, StemcellRejected

UNPACK_TIMEOUT = 3600.0  # seconds
PIPE_SIZE = 1 << 20  # bytes

# Owners, modes, links, capabilities and ACLs stay as packed.  trusted.* is left out:
# overlayfs would take such attributes for its own (tar(1), the kernel's overlayfs.rst).
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
    # Print how the archive ended: tar also ends with status 0 where the input just stops.
    "--block-number",
)
# What tar prints of an archive that is whole.
END_OF_ARCHIVE = b"** Block of NULs **"
# tar may say no more of a full disk than how far it came.
DISK_FULL = re.compile(rb"No space left on device|Wrote only \d+ of")
# After such bytes gzip(1) and pigz(1) end with status 2, and igzip(1) with 0.
TRAILING_GARBAGE = re.compile(rb"trailing (garbage|junk)")


@contextmanager
def large_pipe() -> Iterator[tuple[int, int]]:
    """
    Make a pipe between two children.

    @return: the end to read from and the end to write to; both are closed on leaving.
    """
    readable, writable = os.pipe2(os.O_CLOEXEC)
    try:
        enlarge(writable)
        yield readable, writable
    finally:
        os.close(readable)
        os.close(writable)


def enlarge(pipe: int) -> None:
    """
    Let a pipe hold more, so that who writes and who reads wait for each other less often.

    @param pipe: a descriptor of one of its ends.
    """
    # Above /proc/sys/fs/pipe-max-size this is refused, and the usual size has to do.
    with suppress(PermissionError):
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE_SIZE)


class Pipeline:
    """
    The running processes that unpack one image.

    @param header: the first bytes of the image, by which its format is told.
    @param source: where the first process reads the image: a descriptor, or C{"w"} if it
        will be written to L{stdin}.
    @param target: the directory to unpack into.
    @raise StemcellRejected: if the format is not known, or its program is missing.
    @raise CloudError: if a process cannot be started.
    """

    def __init__(
        self, processes: Processes, header: bytes, source: int | str, target: Path
    ) -> None:
        self._processes = processes
        self._children: list[Child] = []
        self._killed: set[Child] = set()
        tar = [*TAR, f"--directory={target}"]
        decompressor = decompressor_for(header)
        if decompressor is None:
            self._spawn(tar, source)
            return
        with large_pipe() as (readable, writable):
            self._spawn(decompressor, source, writable)
            try:
                self._spawn(tar, readable)
            except CloudError:
                self.kill()
                raise

    def _spawn(self, argv: Sequence[str], source: int | str, sink: int | str = "r") -> None:
        fds = {0: source, 1: sink, 2: "r"}
        child = self._processes.spawn(argv, timeout=UNPACK_TIMEOUT, child_fds=fds)
        self._children.append(child)
        if source == "w":
            enlarge(child.transport.pipes[0].fileno())

    @property
    def stdin(self) -> Any:
        """The transport of the first process, which has what C{"w"} as a source needs."""
        return self._children[0].transport

    @property
    def has_failed(self) -> bool:
        """Whether a process has failed so far."""
        outcomes = [child.outcome for child in self._children]
        return any(outcome is not None and not _is_success(outcome) for outcome in outcomes)

    @property
    def takes_no_more(self) -> bool:
        """Whether the first process has ended, so that nobody reads what is written."""
        return self._children[0].outcome is not None

    def kill(self) -> None:
        """Kill the processes that have not ended; L{wait} returns when they are gone."""
        for child in self._children:
            if child.outcome is None:
                self._killed.add(child)
                child.kill()

    async def wait(self) -> list[Outcome]:
        """Wait until all processes have ended."""
        return list(await gatherResults([child.ended for child in self._children]))

    async def finish(self) -> None:
        """
        Wait until all processes have ended, and check that the image was unpacked.

        @raise NoDiskSpace: if the file system ran full.
        @raise StemcellRejected: if the image is at fault.
        """
        outcomes = await self.wait()
        for outcome in reversed(outcomes):
            if DISK_FULL.search(outcome.stderr):
                raise NoDiskSpace("the disk ran full while the image was unpacked")
        # A process that was killed because another failed is not at fault.
        ended = zip(self._children, outcomes, strict=True)
        own = [outcome for child, outcome in ended if child not in self._killed]
        for outcome in own or outcomes:
            if not _is_success(outcome) and outcome.signal != signal.SIGPIPE:
                raise StemcellRejected(f"the image cannot be unpacked: {_reason(outcome)}")
        if END_OF_ARCHIVE not in outcomes[-1].stdout:
            raise StemcellRejected("the image is cut short: its archive has no end")


def _is_success(outcome: Outcome) -> bool:
    return outcome.ok or (
        outcome.status == 2 and TRAILING_GARBAGE.search(outcome.stderr) is not None
    )


def _reason(outcome: Outcome) -> str:
    lines = outcome.stderr.decode("utf-8", "replace").splitlines()
    told = [line for line in lines if "Exiting with failure status" not in line]
    return "; ".join([outcome.ending, *told[:3]])
