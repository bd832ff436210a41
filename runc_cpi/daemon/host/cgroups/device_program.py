"""The eBPF program of a cgroup that decides which devices its processes may use."""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterable, Iterator, Sequence

from runc_cpi.daemon.host import bpf
from runc_cpi.daemon.host.bpf_code import (
    AND,
    CONTEXT,
    COPY,
    IF_DIFFERENT,
    LOAD_WORD,
    SHIFT_RIGHT,
    Assembler,
)
from runc_cpi.daemon.vms.device_rules import DeviceRule

# As earlier daemons named theirs, which are found and replaced by it.
NAME = b"runc_cpid_loops"

# From linux/bpf.h.
_PROG_ATTACH, _PROG_GET_FD_BY_ID, _OBJ_GET_INFO_BY_FD, _PROG_QUERY = 8, 13, 15, 16
_CGROUP_DEVICE_PROGRAM = 15  # BPF_PROG_TYPE_CGROUP_DEVICE
_CGROUP_DEVICE_ATTACHMENT = 6  # BPF_CGROUP_DEVICE
_ALLOW_MULTI, _REPLACE = 2, 4
_KINDS = {"b": 1, "c": 2}
_ACCESSES, _ANY_ACCESS = {"m": 1, "r": 2, "w": 4}, 7
_INFO_SIZE, _INFO_NAME_AT, _NAME_SIZE = 128, 64, 16  # bytes
_MOST_PROGRAMS = 64

# Registers of the program.
_KIND, _MAJOR, _MINOR, _ACCESS, _REST = 2, 3, 4, 5, 6


def allow(cgroup: int, rules: Sequence[DeviceRule]) -> None:
    """
    Let the processes of a cgroup, and of those below it, use these devices and no others.

    All programs of a cgroup and of those above it must agree, so no other program can
    allow more.  What was set here before is replaced in one step.

    @param cgroup: a descriptor of the cgroup's directory.
    @raise OSError: if the kernel refuses.
    """
    code = assemble(rules)
    program = bpf.load(_CGROUP_DEVICE_PROGRAM, code, NAME, _CGROUP_DEVICE_ATTACHMENT)
    try:
        old = next(_ours(cgroup), None)
        flags = _ALLOW_MULTI if old is None else _ALLOW_MULTI | _REPLACE
        target = (cgroup, program, _CGROUP_DEVICE_ATTACHMENT, flags, old or 0)
        try:
            bpf.call(_PROG_ATTACH, struct.pack("<5I", *target))
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
    code = Assembler()
    code.add(LOAD_WORD, _KIND, CONTEXT)
    code.add(COPY, _ACCESS, _KIND)
    code.add(AND, _KIND, value=0xFFFF)
    code.add(SHIFT_RIGHT, _ACCESS, value=16)
    code.add(LOAD_WORD, _MAJOR, CONTEXT, offset=4)
    code.add(LOAD_WORD, _MINOR, CONTEXT, offset=8)
    for number, rule in enumerate(rules):
        _allow(code, rule, f"after rule {number}")
    code.answer(0)
    return code.assemble()


def _allow(code: Assembler, rule: DeviceRule, otherwise: str) -> None:
    """Answer yes if a rule does, or go on behind it, at a label of this name."""
    refused = _ANY_ACCESS & ~sum(_ACCESSES[letter] for letter in rule.access)
    code.add(COPY, _REST, _ACCESS)
    code.add(AND, _REST, value=refused)
    wanted = [(_KIND, _KINDS[rule.kind]), (_MAJOR, rule.major), (_MINOR, rule.minor)]
    for register, value in [*wanted, (_REST, 0)]:
        if value is not None:
            code.jump(IF_DIFFERENT, register, value, otherwise)
    code.answer(1)
    code.label(otherwise)


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
    bpf.call(_PROG_QUERY, query)
    (found,) = struct.unpack_from("<I", query, 24)
    for number in list(ids)[:found]:
        program = bpf.call(_PROG_GET_FD_BY_ID, struct.pack("<3I", number, 0, 0))
        if _name(program) == NAME:
            yield program
        else:
            os.close(program)


def _name(program: int) -> bytes:
    """Return the name of a program that is in the kernel."""
    info = ctypes.create_string_buffer(_INFO_SIZE)
    attributes = struct.pack("<IIQ", program, _INFO_SIZE, ctypes.addressof(info))
    bpf.call(_OBJ_GET_INFO_BY_FD, attributes)
    return info.raw[_INFO_NAME_AT : _INFO_NAME_AT + _NAME_SIZE].rstrip(b"\0")
