"""Has the kernel look at what a VM sends, where it comes to the host's end of its pair."""

from __future__ import annotations

import errno
import os
from collections.abc import Collection
from hashlib import sha256
from ipaddress import IPv4Address
from typing import Any

from pyroute2.netlink.exceptions import NetlinkError
from pyroute2.netlink.rtnl import TC_H_CLSACT

from runc_cpi.daemon.host import bpf
from runc_cpi.daemon.host.network import frames

_CLASSIFIER = 3  # BPF_PROG_TYPE_SCHED_CLS, linux/bpf.h
_PROGRAM = b"runc_cpid_frame"
_INGRESS = TC_H_CLSACT & 0xFFFF0000 | 0xFFF2  # TC_H_MIN_INGRESS, linux/pkt_sched.h
_FIRST = 1  # of its filters: the priority, and the handle there


def guard(ip: Any, index: int, hardware: str, addresses: Collection[IPv4Address]) -> bool:
    """
    Let only frames of this sender come in by an interface; say whether others could.

    What was set before is replaced in one step (tc-bpf(8)).

    @param index: the interface's.
    @param hardware: the sender's hardware address.
    @param addresses: the sender's addresses.
    @raise NetlinkError: if the kernel refuses.
    @raise OSError: if the kernel refuses the program.
    """
    code = frames.program(hardware, addresses)
    # What is in place is known by its name, which tells the whole program.
    name = f"runc-cpid {sha256(code).hexdigest()[:16]}"
    if name in _names(ip, index):
        return False
    program = bpf.load(_CLASSIFIER, code, _PROGRAM)
    try:
        try:
            ip.tc("add", "clsact", index)
        except NetlinkError as error:
            if error.code != errno.EEXIST:
                raise
        ip.tc(
            "replace-filter",
            "bpf",
            index,
            _FIRST,
            parent=_INGRESS,
            prio=_FIRST,
            fd=program,
            name=name,
            direct_action=True,
        )
    finally:
        os.close(program)
    return True


def _names(ip: Any, index: int) -> set[str]:
    """Name the filters that come first for what an interface receives."""
    names = set()
    for found in ip.get_filters(index=index, parent=_INGRESS):
        options = found.get_attr("TCA_OPTIONS")
        if found["info"] >> 16 == _FIRST and hasattr(options, "get_attr"):
            names.add(str(options.get_attr("TCA_BPF_NAME")))
    return names
