"""
Lets a container run that runc made, as C{runc start} does, without a process for it.

The container's first process waits until somebody opens C{exec.fifo} of its state to read
it.  Then it writes a byte, and becomes the VM's init.
"""

from __future__ import annotations

import os
import select
from contextlib import suppress
from os.path import samestat
from pathlib import Path
from time import monotonic, sleep

from runc_cpi.daemon.host.oci.runtime_state import RUNC_FILE
from runc_cpi.errors import HostShort

NAME = "exec.fifo"
PAUSE = 0.0005  # seconds between two looks at a process; it takes 2 ms to become another


def let_run(state: Path, pid: int, seconds: float) -> bool:
    """
    Let a container run, if it waits for that as runc's do, and wait until it does; this
    blocks.

    Until its process is the VM's init it is runc's: it would act by a signal that is for
    the init, and a look at it would find a program of the host.

    @param state: the directory in which the runtime keeps the container; it has its name.
    @param pid: the container's first process.
    @param seconds: after how long it is given up.
    @return: whether it runs; the runtime knows better if not: it may be another one, or the
        process ended.
    @raise HostShort: if it takes too long; the container cannot be started any more.
    @raise OSError: if the kernel refuses.
    """
    if not (state / RUNC_FILE).exists():
        return False  # crun has a file of that name, and reads it
    deadline = monotonic() + seconds
    try:
        runc = os.stat(f"/proc/{pid}/exe")
        fifo = os.open(state / NAME, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, ProcessLookupError):
        return False
    try:
        # A process that found the fifo open, and then closed, would end by its write.
        if not _writes(fifo, pid, deadline) or not os.read(fifo, 1):
            return False
        # By this runc tells a container that runs from one that waits.
        (state / NAME).unlink(missing_ok=True)
        _await_init(pid, runc, deadline)
    except TimeoutError as late:
        raise HostShort(
            f"{state.name}: its first process {late} within {seconds:g} s "
            "(runtime_timeout): the host is busy, or something stops that process"
        ) from None
    finally:
        os.close(fifo)
    return True


def _writes(fifo: int, pid: int, deadline: float) -> bool:
    """
    Wait until something was written, or the process ended, and say whether it was.

    @raise TimeoutError: if neither comes in time.
    """
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return False
    watch = select.poll()
    watch.register(fifo, select.POLLIN)
    watch.register(pidfd, select.POLLIN)
    try:
        ready = dict(watch.poll(max(0.0, deadline - monotonic()) * 1000))
    finally:
        os.close(pidfd)
    if not ready:
        raise TimeoutError(f"did not write to {NAME}")
    return bool(ready.get(fifo, 0) & select.POLLIN)


def _await_init(pid: int, runc: os.stat_result, deadline: float) -> None:
    """
    Wait until a process that is runc still is the VM's init, or ended.

    @raise TimeoutError: if neither comes in time.
    """
    with suppress(FileNotFoundError, ProcessLookupError):
        while samestat(runc, os.stat(f"/proc/{pid}/exe")):
            if monotonic() > deadline:
                raise TimeoutError("did not become the VM's init")
            sleep(PAUSE)
