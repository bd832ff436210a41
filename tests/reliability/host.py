"""What a host has of a daemon, compared with what it should have."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from pyroute2 import IPRoute

from runc_cpi.daemon.host.network import libnftables, routes, table, vip_addresses
from runc_cpi.daemon.host.network.veth import host_interface
from tests.harness import leaks, netns
from tests.harness.daemon import Daemon
from tests.reliability.world import World

PORT = re.compile(r"tcp \. (\d+) : ([0-9a-f.:]+) \. 80")
PATIENCE = 5.0
PAUSE = 0.05
DIRECTORIES = (
    *("vms", "runtime", "disks", "snapshots", "networks"),
    *("stemcells", "images", "scratch"),
)


def differences(daemon: Daemon, world: World) -> list[str]:
    """
    Compare, with some time for what is still on its way.

    @return: what is there and should not be, and what is missing.
    """
    deadline = time.monotonic() + PATIENCE
    while (found := _differences(daemon, world)) and time.monotonic() < deadline:
        time.sleep(PAUSE)
    return found


def _differences(daemon: Daemon, world: World) -> list[str]:
    there, wanted = set(_there(daemon)), set(_wanted(daemon, world))
    # A VM that stopped by itself may keep these until it is deleted or booted again.
    optional = {f"{what} {cid}" for what in ("runtime", "cgroup") for cid in world.vms}
    optional |= {_loop(daemon, cid) for cid, disk in world.disks.items() if disk.vm}
    optional |= {_console(daemon, cid) for cid in world.vms}
    optional |= {"cgroup of all"}
    return [
        *(f"left: {what}" for what in sorted(there - wanted - optional)),
        *(f"missing: {what}" for what in sorted(wanted - there)),
    ]


def _drafts(place: Path) -> list[Path]:
    # What was deleted goes meanwhile.
    with suppress(FileNotFoundError, NotADirectoryError):
        return [path for path in place.iterdir() if path.suffix == ".new"]
    return []


def _there(daemon: Daemon) -> Iterator[str]:
    for name in DIRECTORIES:
        directory = daemon.work_dir / name
        # What crun keeps for itself is hidden.
        yield from (f"{name} {path.name}" for path in directory.glob("[!.]*"))
        for place in directory.iterdir():
            yield from (f"draft {path}" for path in _drafts(place))
    yield from (f"temporary {path.name}" for path in daemon.temporary.iterdir())
    # The name of a loop device is that of its file.
    yield from (f"loop {of.split(' of ')[1]}" for of in leaks.loops(daemon.home))
    yield from (f"mount {line.split()[4]}" for line in leaks.mounts(daemon.home))
    for bridge in netns.bridges_of(daemon.cgroup):
        yield f"bridge {bridge}"
        yield from (f"link {name}" for name in _ports(bridge))
    yield from _published(daemon)
    yield from _vips(daemon)
    yield from _routes(daemon)
    top = {daemon.cgroup}
    yield from {f"cgroup {_member(path, daemon)}" for path in leaks.cgroups(top)}
    for line in leaks.processes(daemon.home, top):
        yield from _process(line, daemon)


def _wanted(daemon: Daemon, world: World) -> Iterator[str]:
    running = [cid for cid, vm in world.vms.items() if vm.running]
    yield from (f"vms {cid}" for cid in world.vms)
    yield from (f"{what} {cid}" for what in ("runtime", "cgroup") for cid in running)
    yield f"bridge {daemon.config['bridge']}"
    for cid, bridge in world.networks.items():
        yield from (f"networks {cid}", f"bridge {bridge}")
    for cid in world.vms:
        for number, nic in enumerate(_nics(daemon, cid)):
            yield f"bridge {nic['bridge']}"
            address = nic["addresses"][0].partition("/")[0]
            yield from (f"route to {block} by {address}" for block in nic["blocks"])
            if cid in running:
                yield f"link {host_interface(cid, number)}"
    yield from (f"process of {cid}" for cid in running)
    for cid in world.vms:
        record = json.loads((daemon.work_dir / "vms" / cid / "vm.json").read_text())
        addresses = [
            address.partition("/")[0]
            for nic in record["nics"]
            for address in nic["addresses"]
        ]
        address, of_ipv6 = addresses[0], [each for each in addresses if ":" in each]
        for port in record["ports"]:
            yield from (f"port {port['first']} of {to}" for to in (address, *of_ipv6))
        for network in record["networks"].values():
            if network["type"] == "vip":
                yield f"vip {network['ip']} of {address}"
                yield f"source {network['ip']} of {address}"
                yield f"address {network['ip']}"
    yield from (_console(daemon, cid) for cid in running)
    yield from (f"disks {cid}" for cid in world.disks)
    yield from (f"snapshots {cid}" for cid in world.snapshots)
    yield from (f"stemcells {cid}" for cid in world.stemcells)
    yield from {f"images {name}" for name in _images(daemon, world)}
    for cid, disk in world.disks.items():
        if disk.vm in running:
            yield _loop(daemon, cid)
    for cid in world.vms:
        directory = daemon.work_dir / "vms" / cid
        if (directory / "root").exists():
            yield from (f"loop {directory / 'root'}", f"mount {directory / 'layers'}")
    for cid in running:
        if (image := daemon.work_dir / "vms" / cid / "ephemeral").exists():
            yield f"loop {image}"


def _nics(daemon: Daemon, vm_cid: str) -> list[dict[str, Any]]:
    record = json.loads((daemon.work_dir / "vms" / vm_cid / "vm.json").read_text())
    nics: list[dict[str, Any]] = record["nics"]
    return nics


def _published(daemon: Daemon) -> Iterator[str]:
    """Return the ports that lead to VMs, as the kernel has them."""
    name = table.name_of(daemon.work_dir)
    with suppress(libnftables.NftablesUnusable):
        for ports in ("ports", "ports6"):
            printed = libnftables.run(f"list map {table.FAMILY} {name} {ports}")
            for port, address in PORT.findall(printed):
                yield f"port {port} of {address}"


def _vips(daemon: Daemon) -> Iterator[str]:
    """Return the vips of VMs, as the kernel has them."""
    name, label = table.name_of(daemon.work_dir), vip_addresses.label_of(daemon.cgroup)
    with suppress(libnftables.NftablesUnusable):
        printed = [
            libnftables.run(f"list map {table.FAMILY} {name} {kind}")
            for kind in ("vips", "sources")
        ]
        vips, sources = map(table.vips_in, printed)
        yield from (f"vip {vip} of {address}" for vip, address in vips.items())
        yield from (f"source {vip} of {address}" for address, vip in sources.items())
    yield from (f"address {vip}" for vip, its in leaks.vips().items() if its == label)


def _routes(daemon: Daemon) -> Iterator[str]:
    """Return the routes to blocks of VMs, as the kernel has them."""
    with IPRoute() as ip:
        for route in routes.all_routes(ip):
            is_ours = route.metric == routes.metric_of(daemon.cgroup)
            if is_ours and route.protocol == routes.TO_BLOCKS:
                yield f"route to {route.network} by {route.gateway}"


def _console(daemon: Daemon, vm_cid: str) -> str:
    return f"mount {daemon.work_dir / 'vms' / vm_cid / 'console'}"


def _loop(daemon: Daemon, disk_cid: str) -> str:
    return f"loop {daemon.work_dir / 'disks' / disk_cid / 'image'}"


def _images(daemon: Daemon, world: World) -> Iterator[str]:
    for cid in world.stemcells:
        record = daemon.work_dir / "stemcells" / cid / "stemcell.json"
        if image := json.loads(record.read_text())["image"]:
            yield image.replace(":", "-")


def _ports(bridge: str) -> list[str]:
    with IPRoute() as ip:
        for index in ip.link_lookup(ifname=bridge):
            ports = ip.get_links(master=index)
            return [str(port.get_attr("IFLA_IFNAME")) for port in ports]
    return []


def _member(cgroup: Path, daemon: Daemon) -> str:
    """Return the VM that a cgroup is of; C{of all} is the daemon's own."""
    inner = cgroup.parts[cgroup.parts.index(daemon.cgroup) + 1 :]
    return inner[0] if inner else "of all"


def _process(line: str, daemon: Daemon) -> Iterator[str]:
    number = line.split()[0]
    if daemon.process is not None and number == str(daemon.process.pid):
        return
    try:
        cgroups = Path("/proc", number, "cgroup").read_text()
    except OSError:
        return
    _, found, inner = cgroups.partition(f"/{daemon.cgroup}/")
    yield f"process of {inner.split('/')[0].split()[0]}" if found else f"process {line}"
