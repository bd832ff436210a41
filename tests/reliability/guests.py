"""
What runs in the VMs of these tests, and how to look into a VM without running anything.
"""

from __future__ import annotations

import json
import subprocess
import tarfile
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

from tests.harness import images
from tests.harness.agent import CONFIG
from tests.harness.vm import AGENT_PORT, SETTINGS, VM
from tests.harness.waiting import eventually

SERVE = f"#!/bin/sh\nexec /bin/busybox nc -ll -p {AGENT_PORT} -e /bin/answer\n"
ANSWER = f"#!/bin/sh\n/bin/busybox cat {SETTINGS}\necho\n"
AGENT = {"Platform": {"Linux": {"BindMountPersistentDisk": False}}}
STORE = "/var/vcap/store"
PLACES = "/warden-cpi-dev"
PATIENCE = 10.0


def answering(busybox: bytes) -> bytes:
    """Return an image whose VMs answer each connection with their agent's settings."""
    agent = json.dumps(AGENT).encode()
    return images.tiny(
        busybox,
        SERVE,
        images.entry("bin/answer", ANSWER.encode(), mode=0o755),
        images.entry("bin/umount", kind=tarfile.SYMTYPE, link="busybox"),
        images.entry("bin/sync", kind=tarfile.SYMTYPE, link="busybox"),
        images.entry("bin/tar", kind=tarfile.SYMTYPE, link="busybox"),
        images.entry(CONFIG.lstrip("/"), agent),
    )


def settings(vm: VM) -> dict[str, Any]:
    """Wait until a VM answers, and return its answer."""
    answer = eventually(vm.try_answer, f"{vm.cid} answers", PATIENCE)
    told: dict[str, Any] = json.loads(answer)
    return told


def content(image: Path, name: str) -> str:
    """Read a file of the file system in an image, which may be in use."""
    outcome = subprocess.run(
        ["debugfs", "-R", f"cat {name}", str(image)],
        capture_output=True,
        text=True,
        check=True,
    )
    return outcome.stdout


def mark(image: Path, name: str, text: str) -> None:
    """Write a file to the file system in an image that nothing uses."""
    with NamedTemporaryFile("w") as source:
        source.write(text)
        source.flush()
        argv = ["debugfs", "-w", "-R", f"write {source.name} {name}", str(image)]
        subprocess.run(argv, capture_output=True, check=True)


def hint(vm: VM, disk_cid: str) -> str:
    """Return the path of a disk by the agent's settings."""
    found: str = json.loads(vm.look(SETTINGS))["disks"]["persistent"][disk_cid]
    return found


def seen(vm: VM) -> set[str]:
    """Return the disks that a running VM has nodes of, or mounts where its agent looks."""
    nodes = {path.name for path in Path(f"/proc/{vm.pid}/root/dev").glob("disk-*")}
    points = [
        Path(line.split()[4])
        for line in Path(f"/proc/{vm.pid}/mountinfo").read_text().splitlines()
    ]
    return nodes | {point.name for point in points if str(point.parent) == PLACES}
