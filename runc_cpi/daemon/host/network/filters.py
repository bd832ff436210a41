"""Puts the filter of what a VM sends on the host's end of its veth pair."""

from __future__ import annotations

import errno
import os
import socket
import struct
from hashlib import sha256

from runc_cpi.daemon.host import bpf
from runc_cpi.daemon.host.network import frames, netlink, rtnetlink
from runc_cpi.daemon.host.network.netlink import attribute
from runc_cpi.daemon.networks.firewall import AllowedSources

_CLASSIFIER = 3  # BPF_PROG_TYPE_SCHED_CLS, linux/bpf.h
_PROGRAM = b"runc_cpid_frame"
# linux/rtnetlink.h, linux/pkt_sched.h, linux/pkt_cls.h, linux/if_ether.h
_NEW_PLACE, _NEW_FILTER, _GET_FILTER = 36, 44, 46  # RTM_NEWQDISC, RTM_*TFILTER
_MESSAGE = struct.Struct("=BxxxiIII")  # tcmsg: family, index, handle, parent, info
_KIND, _OPTIONS = 1, 2  # TCA_*
_PROGRAM_FD, _PROGRAM_NAME, _PROGRAM_FLAGS = 6, 7, 8  # TCA_BPF_*
_DIRECT_ACTION = 1  # TCA_BPF_FLAG_ACT_DIRECT
_CLSACT, _MAJOR = 0xFFFFFFF1, 0xFFFF0000  # TC_H_CLSACT, TC_H_MAJ_MASK
_INGRESS = _CLSACT & _MAJOR | 0xFFF2  # TC_H_MIN_INGRESS
_ALL_PROTOCOLS = 3  # ETH_P_ALL
_FIRST = 1  # the priority of the filter that is asked first


def guard(index: int, sources: AllowedSources, *, is_new: bool = False) -> bool:
    """
    Let only frames from these sources come in by an interface.

    What was set before is replaced in one step (tc-bpf(8)).

    @param index: the interface's.
    @param is_new: whether it was just made, and so has no filter.
    @return: whether frames from others could come in until now.
    @raise OSError: if the kernel refuses.
    """
    code = frames.program(sources.mac, sources.addresses, sources.blocks)
    # A filter that is in place is known by its name, a digest of its program.
    name = f"runc-cpid {sha256(code).hexdigest()[:16]}"
    if not is_new and name in _names(index):
        return False
    program = bpf.load(_CLASSIFIER, code, _PROGRAM)
    try:
        try:
            _make_place(index)
        except OSError as error:
            if error.errno != errno.EEXIST:
                raise
        _place(index, program, name)
    finally:
        os.close(program)
    return True


def _make_place(index: int) -> None:
    """Have a place for filters of what comes in by an interface."""
    body = _MESSAGE.pack(socket.AF_UNSPEC, index, _CLSACT & _MAJOR, _CLSACT, 0)
    body += attribute(_KIND, b"clsact\0")
    rtnetlink.change(_NEW_PLACE, body, netlink.CREATE | netlink.EXCLUSIVE)


def _place(index: int, program: int, name: str) -> None:
    """
    Put a program in the first place, instead of the one that is there.

    @param program: a descriptor of it.
    """
    options = b"".join(
        (
            attribute(_PROGRAM_FD, struct.pack("=I", program)),
            attribute(_PROGRAM_NAME, name.encode("ascii") + b"\0"),
            attribute(_PROGRAM_FLAGS, struct.pack("=I", _DIRECT_ACTION)),
        )
    )
    asked = _FIRST << 16 | socket.htons(_ALL_PROTOCOLS)
    body = _MESSAGE.pack(socket.AF_UNSPEC, index, _FIRST, _INGRESS, asked)
    body += attribute(_KIND, b"bpf\0") + attribute(_OPTIONS | netlink.NESTED, options)
    rtnetlink.change(_NEW_FILTER, body, netlink.CREATE | netlink.REPLACE)


def _names(index: int) -> set[str]:
    """Return the names of the filters that an interface's incoming frames meet first."""
    names = set()
    question = _MESSAGE.pack(socket.AF_UNSPEC, index, 0, _INGRESS, 0)
    for message in netlink.dump(socket.NETLINK_ROUTE, _GET_FILTER, question):
        *_, asked = _MESSAGE.unpack_from(message)
        parts = dict(netlink.attributes(message[_MESSAGE.size :]))
        options = dict(netlink.attributes(parts.get(_OPTIONS, b"")))
        if asked >> 16 == _FIRST:
            name = options.get(_PROGRAM_NAME, b"")
            names.add(name.rstrip(b"\0").decode("utf-8", "replace"))
    return names
