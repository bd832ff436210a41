"""What daemons, VMs and calls can leave behind on a host, and how to clear it away."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import struct
import subprocess
import time
from array import array
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from runc_cpi.daemon.host.network import libnftables, sysctls, table, vip_addresses
from tests.harness import forks, netns, trees

CGROUPS = Path("/sys/fs/cgroup")
PATIENCE = 3.0
INTERVAL = 0.05
SIOCGIFCONF = 0x8912
# A name, and a socket address: family and port, address, and what is unused.
IFREQ = struct.Struct("16s4x4s16x")
ADDRESSES = 1024  # at most


@dataclass(frozen=True)
class Trace:
    """One thing that is there: its kind, and its name."""

    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


def find(home: Path, names: Iterable[str]) -> set[Trace]:
    """
    Find all that is there of some daemons.

    @param home: the directory that all of them live in.
    @param names: the names of their cgroups.
    """
    names = set(names)
    found = {Trace("link", name) for name in netns.links()}
    found |= {Trace("rules", name) for name in rules()}
    found |= {Trace("address", address) for address in vips()}
    found |= {Trace("sysctl", f"IPv{n}") for n in (4, 6) if sysctls.is_forwarding(n)}
    found |= {Trace("cgroup", str(path)) for path in cgroups(names)}
    found |= {Trace("mount", line) for line in mounts(home)}
    found |= {Trace("loop device", name) for name in loops(home)}
    found |= {Trace("process", line) for line in processes(home, names)}
    # Stemcells are meant to stay; all else here is of a VM or unfinished, but for what the
    # runtime keeps for itself.
    for pattern in ("*/w/vms/*", "*/w/scratch/*", "*/w/runtime/[!.]*", "*/tmp/*"):
        found |= {Trace("file", str(path)) for path in home.glob(pattern)}
    return found


def left(before: set[Trace], home: Path, names: Iterable[str]) -> set[Trace]:
    """Return what is there beyond C{before}, once that has had time to go."""
    return settled(before, home, names) - before


def settled(kept: set[Trace], home: Path, names: Iterable[str]) -> set[Trace]:
    """Return what is there, once all beyond C{kept} has had time to go."""
    names = set(names)
    deadline = time.monotonic() + PATIENCE
    while not (found := find(home, names)) <= kept and time.monotonic() < deadline:
        time.sleep(INTERVAL)
    return found


def clear(traces: Iterable[Trace]) -> None:
    """Remove what was left, so that the next test does not suffer from it."""
    by_kind: dict[str, list[str]] = {}
    for trace in traces:
        by_kind.setdefault(trace.kind, []).append(trace.name)
    for line in by_kind.get("process", []):
        try:
            os.kill(int(line.split()[0]), signal.SIGKILL)
        except ProcessLookupError:
            continue
    for line in sorted(by_kind.get("mount", []), reverse=True):
        subprocess.run(["umount", "--lazy", line.split()[4]], check=False)
    for name in by_kind.get("link", []):
        subprocess.run(["ip", "link", "delete", name], check=False)
    for address in by_kind.get("address", []):
        command = ["ip", "addr", "delete", f"{address}/{vip_addresses.WHOLE}"]
        subprocess.run([*command, "dev", vip_addresses.INTERFACE], check=False)
    for name in by_kind.get("rules", []):
        libnftables.run(table.removal(name))
    for name in by_kind.get("sysctl", []):
        sysctls.set_forwarding(int(name[-1]), on=False)
    for name in by_kind.get("loop device", []):
        subprocess.run(["losetup", "--detach", f"/dev/{name.split()[0]}"], check=False)
    for name in sorted(by_kind.get("cgroup", []), key=len, reverse=True):
        _remove_cgroup(Path(name))
    for name in by_kind.get("file", []):
        with suppress(subprocess.CalledProcessError):
            trees.remove(Path(name))


def _remove_cgroup(path: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while path.is_dir() and time.monotonic() < deadline:
        try:
            path.rmdir()
        except OSError:
            time.sleep(INTERVAL)


def rules() -> list[str]:
    """Name the tables of nftables that daemons have made."""
    tables = table.chains_in(libnftables.run(f"list chains {table.FAMILY}"))
    return [name for name in tables if name.startswith(table.PREFIX)]


def vips() -> dict[str, str]:
    """Return the labels of the addresses that daemons have added for VMs, by address."""
    # The kernel tells labels as the names of interfaces (netdevice(7), SIOCGIFCONF).
    room = array("B", bytes(ADDRESSES * IFREQ.size))
    request = array("B", struct.pack("iP", len(room), room.buffer_info()[0]))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, SIOCGIFCONF, request)
    told: int = struct.unpack("iP", request)[0]
    assert told < len(room)
    labels = {
        socket.inet_ntoa(address): name.rstrip(b"\0").decode()
        for name, address in IFREQ.iter_unpack(room[:told])
    }
    mark = vip_addresses.MARK
    return {address: label for address, label in labels.items() if label.startswith(mark)}


def cgroups(names: set[str]) -> list[Path]:
    """Find these cgroups, and all below them, in every hierarchy of v1 and v2."""
    found = []
    for parent in (CGROUPS, *(path for path in CGROUPS.iterdir() if path.is_dir())):
        for name in names.intersection(os.listdir(parent)):
            found += [Path(directory) for directory, _, _ in os.walk(parent / name)]
    return found


def mounts(home: Path) -> list[str]:
    """Return the lines of mountinfo, wherever daemons run, that name what is in C{home}."""
    found = []
    for pid in ("self", *forks.PLACES):
        lines = Path(f"/proc/{pid}/mountinfo").read_text("utf-8").splitlines()
        found += [line for line in lines if f"{home}/" in line]
    return found


def loops(home: Path) -> list[str]:
    """Name the loop devices of files below C{home}, as C{loop3 of FILE}."""
    found = []
    for name in os.listdir("/sys/block"):
        backing = _read(f"/sys/block/{name}/loop/backing_file").strip()
        if f"{home}/" in backing:
            found.append(f"{name} of {backing}")
    return found


def processes(home: Path, names: set[str]) -> list[str]:
    """Find who is in one of the cgroups, or was started for something in C{home}."""
    found = []
    members = {
        pid for path in cgroups(names) for pid in _read(f"{path}/cgroup.procs").split()
    }
    for pid in filter(str.isdigit, os.listdir("/proc")):
        command = _read(f"/proc/{pid}/cmdline").replace("\0", " ").strip()
        # The dead, and threads of the kernel, have no command line.
        if not command or int(pid) == os.getpid():
            continue
        # A daemon that was forked has its home as its directory, but not its arguments.
        with suppress(OSError):
            told = f"{command} {os.readlink(f'/proc/{pid}/cwd')}/"
            if f"{home}/" in told or pid in members:
                found.append(f"{pid} {command}")
    return found


def _read(path: str) -> str:
    """Return the content of a file of the kernel, of which there is none if it is gone."""
    try:
        with open(path, "rb", buffering=0) as file:
            return file.read().decode("utf-8", "replace")
    except OSError:
        return ""
