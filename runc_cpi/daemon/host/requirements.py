"""What this host must have, found out before the daemon serves."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from runc_cpi.daemon.host.disks.filesystems import EXT4, FILESYSTEMS
from runc_cpi.daemon.host.network import libnftables, table

REQUIRED = (
    *("tar", "rm", "cp", "sh"),
    *("mount", "umount", "nsenter", "unshare", "setpriv"),
)

# By file: what tells of a line which ids it is about, and how many.
USERS: Mapping[str, Callable[[list[str]], tuple[int, int]]] = {
    "passwd": lambda fields: (int(fields[2]), 1),
    "group": lambda fields: (int(fields[2]), 1),
    "subuid": lambda fields: (int(fields[1]), int(fields[2])),
    "subgid": lambda fields: (int(fields[1]), int(fields[2])),
}


class HostUnfit(Exception):
    """This host lacks something; the message says what."""


def check_root() -> None:
    """
    @raise HostUnfit: if this is not root.
    """
    if os.geteuid() != 0:
        raise HostUnfit("must run as root: containers, mounts and interfaces need it")


def check_programs() -> None:
    """
    @raise HostUnfit: if a program is missing.
    """
    for program in REQUIRED:
        if shutil.which(program) is None:
            raise HostUnfit(f"{program} is not on the PATH; install it")


def check_loop_devices(filesystem: str) -> None:
    """
    @raise HostUnfit: if disks cannot be made of files here.
    """
    way_out = "; disks.driver: directory does without, and without sizes"
    if not Path("/dev/loop-control").exists():
        raise HostUnfit(f"disks.driver: image needs loop devices, not to be had{way_out}")
    for program in FILESYSTEMS[filesystem].programs:
        if shutil.which(program) is None:
            raise HostUnfit(
                f"disks.driver: image needs {program}, which is not on the PATH{way_out}"
            )


def check_root_disks() -> None:
    """
    @raise HostUnfit: if root disks of VMs cannot be made here.
    """
    for program in EXT4.programs:
        if shutil.which(program) is None:
            raise HostUnfit(
                f"vms.root_disk_size needs {program}, which is not on the PATH; "
                "vms.root_disk_size: 0 does without, and without a bound"
            )


def check_nftables(key: str) -> None:
    """
    Check whether there can be rules for what VMs send to other networks.

    @param key: of the configuration, which asks for it: C{nat}, C{networks} or C{peers}.
    @raise HostUnfit: if there cannot.
    """
    way_out = {
        "nat": "nat: false does without, and VMs reach no other network",
        "networks": "without networks of IPv6 it is not needed",
        "peers": "without peers it is not needed",
    }
    try:
        libnftables.run(f"list chains {table.FAMILY}")
    except libnftables.NotPermitted as error:
        raise HostUnfit(
            f"{key}: {error}; it takes root with CAP_NET_ADMIN; {way_out[key]}"
        ) from None
    except libnftables.NftablesUnusable as error:
        raise HostUnfit(
            f"{key}: {error}; it needs nf_tables of the kernel and {libnftables.NAME}, "
            f"which is in the package libnftables1; {way_out[key]}"
        ) from None


def check_ids(first: int, last: int, etc: Path = Path("/etc")) -> None:
    """
    Check whether ids may be given to VMs.

    @param first: the first of them.
    @param last: the last one.
    @param etc: where the users of this host are listed (passwd(5), subuid(5)).
    @raise HostUnfit: if a user or a group of this host has one of them.
    """
    for name, ids in USERS.items():
        try:
            text = (etc / name).read_text("utf-8", "replace")
        except OSError:
            continue  # a host need not have all of these files
        for line in text.splitlines():
            fields = line.split(":")
            try:
                start, size = ids(fields)
            except (IndexError, ValueError):
                continue  # no user: a comment, or a line for NIS
            if start <= last and start + size > first:
                raise HostUnfit(
                    f"security.ids: {fields[0]} has {start} in {etc / name}; name ids that "
                    "nobody has"
                )


def find_runtime(name: str) -> str:
    """
    Return the path of the OCI runtime C{name}.

    @raise HostUnfit: if there is no such program.
    """
    path = shutil.which(name)
    if path is None:
        raise HostUnfit(
            f"runtime: {name} is not on the PATH; name an OCI runtime such as runc, or "
            "its path"
        )
    return path
