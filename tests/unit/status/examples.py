"""A daemon's parts over a fake host, with VMs that have been busy for an hour."""

from __future__ import annotations

import os
import random
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from ipaddress import IPv4Address, IPv4Network
from math import sin
from pathlib import Path
from signal import SIGKILL
from typing import Any
from unittest.mock import patch
from uuid import UUID

from runc_cpi.daemon.doctor.finding import fine, warning
from runc_cpi.daemon.events.event import CALL, DAEMON, FAILED, OK
from runc_cpi.daemon.networks.model import Subnet
from runc_cpi.daemon.status.documents import Documents, Facts
from runc_cpi.daemon.status.samples import INTERVAL, SIZE, Samples
from runc_cpi.daemon.storage.depot import Depot
from runc_cpi.daemon.vms.usage import Usage
from runc_cpi.daemon.vms.vm import VM
from tests.fakes.assembly import Assembly, assemble, new_vm
from tests.fakes.script import Script

MIB, GIB = 1 << 20, 1 << 30
SUBNET = Subnet(
    cidr=IPv4Network("10.0.0.0/24"),
    gateway=IPv4Address("10.0.0.1"),
    bridge="runc0",
    name="default",
)
HOST = {
    "name": "cell-1.example.org",
    "version": "0.1.0",
    "processors": 16,
    "memory": 128 * GIB,
    "room": 900 * GIB,
    "free_room": 512 * GIB,
}
FINDINGS = (
    fine("capabilities", "all that the daemon needs"),
    fine("cgroups", "version 2"),
    fine("kernel modules", "overlay, br_netfilter, nf_tables, loop"),
    warning(
        "limit fs.inotify.max_user_instances",
        "128, which all VMs share",
        "sysctl -w fs.inotify.max_user_instances=8192",
    ),
    fine("room", "512 GiB of 900 GiB are free"),
    fine("clock", "synchronized"),
)
# Deployments, with instance groups, and how many VMs and MiB of memory each has.
GROUPS = (
    ("cf", "api", 3, 2048),
    ("cf", "cc-worker", 2, 1024),
    ("cf", "database", 1, 4096),
    ("cf", "diego-cell", 12, 8192),
    ("cf", "doppler", 4, 1024),
    ("cf", "log-api", 2, 512),
    ("cf", "nats", 2, 256),
    ("cf", "router", 3, 1024),
    ("cf", "uaa", 2, 2048),
    ("concourse", "db", 1, 2048),
    ("concourse", "web", 2, 2048),
    ("concourse", "worker", 8, 4096),
    ("postgres", "pgsql", 3, 2048),
    ("prometheus", "alertmanager", 1, 512),
    ("prometheus", "grafana", 1, 512),
    ("prometheus", "prometheus", 3, 4096),
)
HOSTILE = '<img src=x onerror="document.title=1">'


@dataclass(frozen=True)
class Example:
    """What the page is about, and the parts that it comes from."""

    documents: Documents
    parts: Assembly
    vms: Sequence[VM]


@contextmanager
def made_at(moment: datetime) -> Iterator[None]:
    """Have VMs and disks made at some time."""
    told = moment.isoformat(timespec="seconds")
    with (
        patch("runc_cpi.daemon.vms.creation.now", lambda: told),
        patch("runc_cpi.daemon.disks.disks.now", lambda: told),
    ):
        yield


async def example(
    reactor: Any,
    directory: Path,
    number: int,
    *,
    hostile: bool = False,
    unreadable: Collection[str] = (),
) -> Example:
    """
    Make VMs, disks, events and samples of an hour.

    @param reactor: whose time samples are of.
    @param number: how many VMs.
    @param hostile: whether the first one is called what would do harm as markup.
    @param unreadable: the cids of VMs besides whose records cannot be read.
    """
    script, chance = Script(), random.Random(number)
    depot = Depot(directory)
    depot.prepare()
    for vm_cid in unreadable:
        (depot.vms / vm_cid).mkdir()
        (depot.vms / vm_cid / "vm.json").write_text("{")
    parts = assemble(script, depot, subnet=SUBNET)
    await parts.load()
    await parts.history.journal.open()
    image = os.open(os.devnull, os.O_RDONLY)
    try:
        stemcell_cid = (await parts.stemcells.create(image, {})).cid
    finally:
        os.close(image)
    vms: list[VM] = []
    limits: list[int] = []
    places = [(*group, index) for group in GROUPS for index in range(group[2])]
    for deployment, group, _, memory, index in places[:number]:
        age = timedelta(hours=chance.uniform(3, 900))
        uuid = UUID(int=chance.getrandbits(128), version=4)
        name = HOSTILE if hostile and not vms else f"{group}/{uuid}"
        properties = {"ports": [{"host": 443, "container": 8443}]} if not vms else {}
        with made_at(datetime.now(timezone.utc) - age):
            vm = await parts.vms.create(
                new_vm(stemcell_cid, agent_id=str(uuid), cloud_properties=properties)
            )
            if index == 0 and group in ("database", "db", "pgsql", "prometheus"):
                disk = await parts.disks.create(memory * 4, {})
                await parts.vms.attach_disk(vm.vm_cid, disk.disk_cid, in_settings=False)
        await parts.vms.set_metadata(
            vm.vm_cid, {"deployment": deployment, "name": name, "job": group}
        )
        vms.append(parts.vms.all()[-1])
        limits.append(memory * MIB)
    if number > 2:
        parts.runtime.status = SIGKILL
        parts.runtime.end(vms[-2].vm_cid)
        parts.runtime.watched.pop(vms[-2].vm_cid).callback(True)
        await parts.reconciler.repair()
    samples = Samples()
    cids = [vm.vm_cid for vm in vms]
    for usages in busy(chance, cids, limits):
        before = (SIZE - 1 - len(samples.all)) * INTERVAL
        samples.add(reactor.seconds() - before, usages)
    for vm_cid, usage in usages.items():
        parts.meter.usages[f"/c/{vm_cid}"] = usage
    happen(parts, vms)
    facts = Facts(
        vms=parts.vms,
        usages=parts.usages,
        disks=parts.disks,
        networks=parts.networks,
        history=parts.history,
        place_of=parts.place_of,
        host=lambda: HOST,
        examine=lambda: FINDINGS,
    )
    return Example(Documents(reactor, facts, samples), parts, vms)


def busy(
    chance: random.Random, vm_cids: Sequence[str], limits: Sequence[int]
) -> Iterator[dict[str, Usage]]:
    """Return what VMs use at each moment of an hour; it goes up and down."""
    level = [chance.betavariate(1.2, 6) for _ in vm_cids]
    phase = [chance.uniform(0, 6) for _ in vm_cids]
    share = [chance.uniform(0.2, 0.75) for _ in vm_cids]
    cpu, received, sent = ([0.0] * len(vm_cids) for _ in range(3))
    for moment in range(SIZE):
        usages = {}
        for number, vm_cid in enumerate(vm_cids):
            wave = 1 + 0.5 * sin(moment / 11 + phase[number]) + chance.uniform(-0.2, 0.2)
            peak = 4 if chance.random() < 0.02 else 1
            cpu[number] += INTERVAL * level[number] * wave * peak
            received[number] += INTERVAL * level[number] * wave * peak * 400_000
            sent[number] += INTERVAL * level[number] * wave * 150_000
            memory = limits[number] * share[number] * (0.9 + moment / SIZE / 8 + wave / 40)
            usages[vm_cid] = Usage(
                cpu_seconds=cpu[number],
                cpu_limit=None,
                memory=int(memory),
                memory_limit=limits[number],
                pids=30 + number,
                disk=int(limits[number] * 0.4),
                disk_limit=limits[number] * 4,
                read=number * 7 * MIB,
                written=number * 90 * MIB,
                received=int(received[number]),
                sent=int(sent[number]),
            )
        yield usages


def happen(parts: Assembly, vms: Sequence[VM]) -> None:
    """Have some events, and two calls under way."""
    for number, vm in enumerate(vms[:12]):
        usual = {
            "source": CALL,
            "outcome": OK,
            "request_id": f"cpi-{318200 + number // 4}",
            "deployment": vm.metadata["deployment"],
            "instance": vm.name,
            "cids": (vm.vm_cid,),
            "seconds": 0.08 + number / 90,
            "error": "",
            "text": "",
        }
        parts.history.journal.add(**usual, method="create_vm")
        parts.history.journal.add(**{**usual, "seconds": 0.002}, method="set_vm_metadata")
    if not vms:
        return
    vm = vms[-1]
    about = {"deployment": vm.metadata["deployment"], "cids": (vm.vm_cid,)}
    parts.history.journal.add(
        source=DAEMON,
        method="vm_ended",
        outcome=OK,
        request_id="",
        instance=vm.name,
        seconds=None,
        error="",
        text=f"{vm.vm_cid} ended by itself, with status 137",
        **about,
    )
    parts.history.journal.add(
        source=CALL,
        method="create_vm",
        outcome=FAILED,
        request_id="cpi-318207",
        instance="",
        seconds=0.013,
        error="AddressUnavailable",
        text="address 10.0.0.17 is in use by " + vm.vm_cid,
        **about,
    )
    if len(vms) > 1:
        for vm, method in zip(vms, ("attach_disk", "reboot_vm"), strict=False):
            call = parts.history.calls.begin(method, [vm.vm_cid])
            call.request_id = "cpi-318209"
            call.take_turn()
