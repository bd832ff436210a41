"""Small eBPF programs, loaded without a library, and the one with device rules."""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
from collections.abc import Iterable, Iterator, Sequence

from runc_cpi.daemon.vms.device_rules import DeviceRule

# As earlier daemons named theirs, which are found and replaced by it.
NAME = b"runc_cpid_loops"

# From linux/bpf.h and linux/bpf_common.h.
_PROG_LOAD, _PROG_ATTACH = 5, 8
_PROG_GET_FD_BY_ID, _OBJ_GET_INFO_BY_FD, _PROG_QUERY = 13, 15, 16
_CGROUP_DEVICE_PROGRAM = 15
_CGROUP_DEVICE_ATTACHMENT = 6
_ALLOW_MULTI, _REPLACE = 2, 4
_KINDS = {"b": 1, "c": 2}
_ACCESSES, _ANY_ACCESS = {"m": 1, "r": 2, "w": 4}, 7
_LOAD, _COPY, _AND, _SHIFT, _IF_DIFFERENT = 0x61, 0xBF, 0x57, 0x77, 0x55
_SET, _EXIT = 0xB7, 0x95
# The registers; the first is given, the answer is in 0.
_CONTEXT, _KIND, _MAJOR, _MINOR, _ACCESS, _REST = 1, 2, 3, 4, 5, 6
_INFO_SIZE, _INFO_NAME_AT, _NAME_SIZE = 128, 64, 16
_MOST_PROGRAMS = 64
_LOAD_ATTEMPTS = 1000

_SYSCALL = {"x86_64": 321, "aarch64": 280, "riscv64": 280}
_libc = ctypes.CDLL(None, use_errno=True)


def allow(cgroup: int, rules: Sequence[DeviceRule]) -> None:
    """
    Let the processes of a cgroup, and of those below it, use these devices and no others.

    All programs of a cgroup and of those above it must agree, so no other program can
    allow more.  What was set here before is replaced in one step.

    @param cgroup: a descriptor of the cgroup's directory.
    @raise OSError: if the kernel refuses.
    """
    code = assemble(rules)
    program = load(_CGROUP_DEVICE_PROGRAM, code, NAME, _CGROUP_DEVICE_ATTACHMENT)
    try:
        old = next(_ours(cgroup), None)
        flags = _ALLOW_MULTI if old is None else _ALLOW_MULTI | _REPLACE
        target = (cgroup, program, _CGROUP_DEVICE_ATTACHMENT, flags, old or 0)
        try:
            call(_PROG_ATTACH, struct.pack("<5I", *target))
        finally:
            if old is not None:
                os.close(old)
    finally:
        os.close(program)


def assemble(rules: Iterable[DeviceRule]) -> bytes:
    """
    Assemble the program: yes to what one of the rules allows, and no to all else.

    It is given the kind of access and of device, its major and its minor number (struct
    bpf_cgroup_dev_ctx), and answers 1 or 0 (bpf(2), BPF_PROG_TYPE_CGROUP_DEVICE).
    """
    program = [
        instruction(_LOAD, _KIND, _CONTEXT, 0, 0),
        instruction(_COPY, _ACCESS, _KIND, 0, 0),
        instruction(_AND, _KIND, 0, 0, 0xFFFF),
        instruction(_SHIFT, _ACCESS, 0, 0, 16),
        instruction(_LOAD, _MAJOR, _CONTEXT, 4, 0),
        instruction(_LOAD, _MINOR, _CONTEXT, 8, 0),
    ]
    for rule in rules:
        program += _allowing(rule)
    return b"".join([*program, *_verdict(0)])


def _allowing(rule: DeviceRule) -> list[bytes]:
    """Answer yes if a rule does; go on behind this if not."""
    wanted = [(_KIND, _KINDS[rule.kind]), (_MAJOR, rule.major), (_MINOR, rule.minor)]
    refused = _ANY_ACCESS & ~sum(_ACCESSES[letter] for letter in rule.access)
    code = [
        instruction(_COPY, _REST, _ACCESS, 0, 0),
        instruction(_AND, _REST, 0, 0, refused),
    ]
    tests = [(register, value) for register, value in wanted if value is not None]
    tests.append((_REST, 0))
    verdict = _verdict(1)
    for number, (register, value) in enumerate(tests):
        # Jumps count from the next instruction.
        left = len(tests) - number - 1 + len(verdict)
        code.append(instruction(_IF_DIFFERENT, register, 0, left, value))
    return code + verdict


def _verdict(value: int) -> list[bytes]:
    return [instruction(_SET, 0, 0, 0, value), instruction(_EXIT, 0, 0, 0, 0)]


def instruction(code: int, target: int, source: int, offset: int, value: int) -> bytes:
    """Assemble one instruction (the kernel's instruction-set.rst)."""
    return struct.pack("<BBhi", code, source << 4 | target, offset, value)


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


def _ours(cgroup: int) -> Iterator[int]:
    """Open those programs of a cgroup that L{allow} put there."""
    ids = (ctypes.c_uint32 * _MOST_PROGRAMS)()
    query = ctypes.create_string_buffer(
        struct.pack(
            "<4IQII",
            *(cgroup, _CGROUP_DEVICE_ATTACHMENT, 0, 0),
            ctypes.addressof(ids),
            _MOST_PROGRAMS,
            0,
        )
    )
    call(_PROG_QUERY, query)
    (found,) = struct.unpack_from("<I", query, 24)
    for number in list(ids)[:found]:
        program = call(_PROG_GET_FD_BY_ID, struct.pack("<3I", number, 0, 0))
        if _name(program) == NAME:
            yield program
        else:
            os.close(program)


def _name(program: int) -> bytes:
    info = ctypes.create_string_buffer(_INFO_SIZE)
    attributes = struct.pack("<IIQ", program, _INFO_SIZE, ctypes.addressof(info))
    call(_OBJ_GET_INFO_BY_FD, attributes)
    return info.raw[_INFO_NAME_AT : _INFO_NAME_AT + _NAME_SIZE].rstrip(b"\0")


def call(command: int, attributes: bytes | ctypes.Array[ctypes.c_char]) -> int:
    """
    Call bpf(2), which may write to C{attributes}.

    @raise OSError: if the kernel refuses, or no number of the call is known here.
    """
    buffer = (
        ctypes.create_string_buffer(attributes, len(attributes))
        if isinstance(attributes, bytes)
        else attributes
    )
    number = _SYSCALL.get(platform.machine())
    if number is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS), "bpf")
    result: int = _libc.syscall(ctypes.c_long(number), command, buffer, len(buffer))
    if result < 0:
        reason = ctypes.get_errno()
        raise OSError(reason, os.strerror(reason), "bpf")
    return result
