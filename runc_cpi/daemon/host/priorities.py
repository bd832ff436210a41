"""How urgent a process is for the kernel: on the disk, and on the processors."""

from __future__ import annotations

import ctypes
import os
import platform
from contextlib import suppress

from runc_cpi.daemon.host.libc import check, libc

LEAST_URGENT = 19  # of nice values (setpriority(2))
# From linux/ioprio.h: a process of the class idle gets the disk when nobody else wants it.
_WHO_PROCESS, _CLASS_IDLE, _CLASS_SHIFT = 1, 3, 13
# The number of ioprio_set on each machine (asm/unistd.h).
_IOPRIO_SET = {
    "x86_64": 251,
    "aarch64": 30,
    "armv7l": 314,
    "loongarch64": 30,
    "ppc64le": 273,
    "riscv64": 30,
}


def lower(pid: int) -> None:
    """
    Have all other processes go before this one; what it starts later is like it.

    Nobody depends on that: one that has ended, or a kernel that refuses, is passed over.

    @param pid: of a child that has not been waited for.
    """
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, pid, LEAST_URGENT)
        number = _IOPRIO_SET.get(platform.machine())
        if number is not None:
            priority = _CLASS_IDLE << _CLASS_SHIFT
            arguments = (_WHO_PROCESS, ctypes.c_int(pid), priority)
            check(libc.syscall(ctypes.c_long(number), *arguments), "ioprio_set")
