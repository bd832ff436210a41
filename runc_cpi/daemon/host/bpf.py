"""The system call bpf(2): loads small eBPF programs, without a library."""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct

from runc_cpi.daemon.host.libc import check, libc

_PROG_LOAD = 5  # linux/bpf.h
_LOAD_ATTEMPTS = 1000

# The number of the call on each machine (asm/unistd.h).  Programs here are put together for
# machines that store the lowest byte first.
_SYSCALL = {
    "x86_64": 321,
    "aarch64": 280,
    "armv7l": 386,
    "loongarch64": 280,
    "ppc64le": 361,
    "riscv64": 280,
}


def load(kind: int, code: bytes, name: bytes, attachment: int = 0) -> int:
    """
    Give a program to the kernel, and return a descriptor of it.

    @param kind: a C{BPF_PROG_TYPE_} of linux/bpf.h.
    @param name: at most 15 letters, digits, dots and underscores.
    @param attachment: where it will be attached, for kinds that have to tell.
    @raise OSError: if the kernel refuses.
    """
    program = ctypes.create_string_buffer(code, len(code))
    licence = ctypes.create_string_buffer(b"Apache-2.0")
    attributes = struct.pack(
        "<IIQQIIQII16sII",
        kind,
        len(code) // 8,
        ctypes.addressof(program),
        ctypes.addressof(licence),
        *(0, 0, 0, 0, 0),  # no log, any kernel, no flags
        name,
        0,
        attachment,
    )
    for _ in range(_LOAD_ATTEMPTS):
        try:
            return call(_PROG_LOAD, attributes)
        except BlockingIOError:
            continue  # a signal came meanwhile
    raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN), "bpf")


def call(command: int, attributes: bytes | ctypes.Array[ctypes.c_char]) -> int:
    """
    Call bpf(2), which may write to C{attributes}.

    @raise OSError: if the kernel refuses, or this is a machine that nothing is known of.
    """
    buffer = (
        ctypes.create_string_buffer(attributes, len(attributes))
        if isinstance(attributes, bytes)
        else attributes
    )
    number = _SYSCALL.get(platform.machine())
    if number is None:
        raise OSError(errno.ENOSYS, f"bpf is not known here on {platform.machine()}")
    return check(libc.syscall(ctypes.c_long(number), command, buffer, len(buffer)), "bpf")
