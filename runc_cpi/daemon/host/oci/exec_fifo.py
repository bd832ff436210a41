"""
Lets a container run that runc made, as C{runc start} does, without a process for it.

The container's first process waits until somebody opens C{exec.fifo} of its state to read
it.  Then it writes a byte, and becomes the VM's init, which closes the file (execve(2)).
"""

from __future__ import annotations

import os
import select
from pathlib import Path

from runc_cpi.daemon.host.oci.runtime_state import RUNC_FILE

NAME = "exec.fifo"
PATIENCE = 5.0  # seconds


def let_run(state: Path, pid: int) -> bool:
    """
    Let a container run, if it waits for that as runc's do.

    @param state: the directory in which the runtime keeps the container.
    @param pid: the container's first process.
    @return: whether it runs; the runtime knows better if not: it may be another one, or the
        process ended.
    @raise OSError: if the kernel refuses.
    """
    if not (state / RUNC_FILE).exists():
        return False  # crun has a file of that name, and reads it
    try:
        fifo = os.open(state / NAME, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        if not _writes(fifo, pid) or not os.read(fifo, 1):
            return False
        _wait(fifo)
    finally:
        os.close(fifo)
    # By this runc tells a container that runs from one that waits.
    (state / NAME).unlink(missing_ok=True)
    return True


def _writes(fifo: int, pid: int) -> bool:
    """Wait until something was written, or the process ended, and say whether it was."""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return False
    try:
        return bool(_wait(fifo, pidfd).get(fifo, 0) & select.POLLIN)
    finally:
        os.close(pidfd)


def _wait(*descriptors: int) -> dict[int, int]:
    """Wait until there is something to be read, or nobody writes any more (poll(2))."""
    watch = select.poll()
    for descriptor in descriptors:
        watch.register(descriptor, select.POLLIN)
    return dict(watch.poll(PATIENCE * 1000))
