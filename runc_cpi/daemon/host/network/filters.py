"""Puts the filter of what a VM sends on the host's end of its veth pair."""

from __future__ import annotations

import errno
import os
from hashlib import sha256
from typing import Any

from pyroute2.netlink.exceptions import NetlinkError
from pyroute2.netlink.rtnl import TC_H_CLSACT

from runc_cpi.daemon.host import bpf
from runc_cpi.daemon.host.network import frames
from runc_cpi.daemon.networks.firewall import AllowedSources

_CLASSIFIER = 3  # BPF_PROG_TYPE_SCHED_CLS, linux/bpf.h
_PROGRAM = b"runc_cpid_frame"
_INGRESS = TC_H_CLSACT & 0xFFFF0000 | 0xFFF2  # TC_H_MIN_INGRESS, linux/pkt_sched.h
_FIRST = 1  # the priority of the filter that is asked first


def guard(ip: Any, index: int, sources: AllowedSources, *, is_new: bool = False) -> bool:
    """
    Let only frames from these sources come in by an interface.

    What was set before is replaced in one step (tc-bpf(8)).

    @param ip: an C{IPRoute}.
    @param index: the interface's.
    @param is_new: whether it was just made, and so has no filter.
    @return: whether frames from others could come in until now.
    @raise NetlinkError: if the kernel refuses.
    @raise OSError: if the kernel refuses the program.
    """
    code = frames.program(sources.mac, sources.addresses, sources.blocks)
    # A filter that is in place is known by its name, a digest of its program.
    name = f"runc-cpid {sha256(code).hexdigest()[:16]}"
    if not is_new and name in _names(ip, index):
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
    """Return the names of the filters that an interface's incoming frames meet first."""
    names = set()
    for found in ip.get_filters(index=index, parent=_INGRESS):
        options = found.get_attr("TCA_OPTIONS")
        if found["info"] >> 16 == _FIRST and hasattr(options, "get_attr"):
            names.add(str(options.get_attr("TCA_BPF_NAME")))
    return names
