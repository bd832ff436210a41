"""The device rules of a cgroup v2: a small eBPF program, loaded without a library."""

from __future__ import annotations

import ctypes
import os
import platform
import struct
from collections.abc import Iterable, Iterator, Sequence

from runc_cpi.daemon.domain.device_rules import DeviceRule

NAME = b"runc_cpid_loops"

# From linux/bpf.h and linux/bpf_common.h.
_PROG_LOAD, _PROG_ATTACH, _PROG_DETACH = 5, 8, 9
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
    program = _load(rules)
    try:
        old = next(_ours(cgroup), None)
        flags = _ALLOW_MULTI if old is None else _ALLOW_MULTI | _REPLACE
        target = (cgroup, program, _CGROUP_DEVICE_ATTACHMENT, flags, old or 0)
        try:
            _bpf(_PROG_ATTACH, struct.pack("<5I", *target))
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
        _instruction(_LOAD, _KIND, _CONTEXT, 0, 0),
        _instruction(_COPY, _ACCESS, _KIND, 0, 0),
        _instruction(_AND, _KIND, 0, 0, 0xFFFF),
        _instruction(_SHIFT, _ACCESS, 0, 0, 16),
        _instruction(_LOAD, _MAJOR, _CONTEXT, 4, 0),
        _instruction(_LOAD, _MINOR, _CONTEXT, 8, 0),
    ]
    for rule in rules:
        program += _allowing(rule)
    return b"".join([*program, *_verdict(0)])


def _allowing(rule: DeviceRule) -> list[bytes]:
    """Answer yes if a rule does; go on behind this if not."""
    wanted = [(_KIND, _KINDS[rule.kind]), (_MAJOR, rule.major), (_MINOR, rule.minor)]
    refused = _ANY_ACCESS & ~sum(_ACCESSES[letter] for letter in rule.access)
    code = [
        _instruction(_COPY, _REST, _ACCESS, 0, 0),
        _instruction(_AND, _REST, 0, 0, refused),
    ]
    tests = [(register, value) for register, value in wanted if value is not None]
    tests.append((_REST, 0))
    verdict = _verdict(1)
    for number, (register, value) in enumerate(tests):
        # Jumps count from the next instruction.
        left = len(tests) - number - 1 + len(verdict)
        code.append(_instruction(_IF_DIFFERENT, register, 0, left, value))
    return code + verdict


def _verdict(value: int) -> list[bytes]:
    return [_instruction(_SET, 0, 0, 0, value), _instruction(_EXIT, 0, 0, 0, 0)]


def _instruction(code: int, target: int, source: int, offset: int, value: int) -> bytes:
    return struct.pack("<BBhi", code, source << 4 | target, offset, value)


def _load(rules: Sequence[DeviceRule]) -> int:
    code = ctypes.create_string_buffer(assemble(rules))
    size = len(code.raw) - 1  # ctypes adds a NUL
    licence = ctypes.create_string_buffer(b"Apache-2.0")
    attributes = struct.pack(
        "<IIQQIIQII16sII",
        _CGROUP_DEVICE_PROGRAM,
        size // 8,
        ctypes.addressof(code),
        ctypes.addressof(licence),
        *(0, 0, 0, 0, 0),  # no log, any kernel, no flags
        NAME,
        0,
        _CGROUP_DEVICE_ATTACHMENT,
    )
    return _bpf(_PROG_LOAD, attributes)


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
    _bpf(_PROG_QUERY, query)
    (found,) = struct.unpack_from("<I", query, 24)
    for number in list(ids)[:found]:
        program = _bpf(_PROG_GET_FD_BY_ID, struct.pack("<3I", number, 0, 0))
        if _name(program) == NAME:
            yield program
        else:
            os.close(program)


def _name(program: int) -> bytes:
    info = ctypes.create_string_buffer(_INFO_SIZE)
    attributes = struct.pack("<IIQ", program, _INFO_SIZE, ctypes.addressof(info))
    _bpf(_OBJ_GET_INFO_BY_FD, attributes)
    return info.raw[_INFO_NAME_AT : _INFO_NAME_AT + _NAME_SIZE].rstrip(b"\0")


def _bpf(command: int, attributes: bytes | ctypes.Array[ctypes.c_char]) -> int:
    buffer = (
        ctypes.create_string_buffer(attributes, len(attributes))
        if isinstance(attributes, bytes)
        else attributes
    )
    result: int = _libc.syscall(
        ctypes.c_long(_SYSCALL[platform.machine()]), command, buffer, len(buffer)
    )
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), "bpf")
    return result
