"""
Records a session of runc-cpictl on a real daemon with real VMs.

C{python docs/session.py} writes docs/session.md. It runs as root, needs what the tests
need, and leaves nothing. What differs from session to session is put in one form: CIDs,
times, and what only this host has. What was measured stays as it was.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_DNS, uuid5

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.harness import images, netns
from tests.harness.daemon import CONTROL, Daemon
from tests.harness.lab import Lab

PAGE = ROOT / "docs" / "session.md"
HEAD = """# A session

What `runc-cpictl` answers about a daemon with two VMs, to root on the daemon's host.
`python docs/session.py` has recorded it. CIDs and times are put in one form, and `…` stands
for what only that host has. [operations.md](operations.md#see-what-is-there) says when to
type what, [cli.md](cli.md) has all options.
"""
# Each part, and its commands; what is in braces is a CID.
PARTS = {
    "What runs here": ("status", "vms", "vm show {db}"),
    "In a VM": (
        "vm exec {web} ls /var/vcap",
        "vm logs {web}",
        "cp motd {web}:/tmp/",
        "vm exec {web} cat /tmp/motd",
    ),
    "Disks and stemcells": (
        "disks",
        "disk resize {disk} 128",
        "disk show {disk}",
        "snapshots",
        "stemcells",
    ),
    "The network": ("networks", "ports", "leases"),
    "What happened": ("calls", "events -n 5", "events --outcome failed"),
    "Is this host fit?": ("doctor", "version"),
    "What can be done": (
        "vm stop {web}",
        "vms",
        "vm start {web}",
        "vm delete {web} --yes",
        "snapshot delete {snapshot} --yes",
        "prune --yes",
        "repair",
    ),
}
COLUMNS = "100"
LOGS = "/var/vcap/sys/log/web"
LOGGED = f"mkdir -p {LOGS}; echo 'listening at 8080' >{LOGS}/web.log"
DYNAMIC = {"default": {"type": "dynamic"}}
UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
CID = re.compile(rf"\b(?:vm|disk|stemcell|snapshot)-{UUID}")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:(\.\d+)Z|\+00:00)")
BEGINNING = datetime(2026, 1, 1, 9)
# Durations, which are rarely the same, and what belongs to the host.
ALIKE = (
    (r"\b\d+\.\d{3} s\b", "0.100 s"),
    (r"(?<![\d.])\d+ s(?= ago|  |\n)", "9 s"),
    (r"\d+ (MiB are free where \S+ is, and) \d+", r"… \1 …"),
    (r"(name servers are) .*", r"\1 …"),
    (r"[0-9.]+ (cannot be asked)", r"… \1"),
    (r"(kernel|python|runtime)(:\s+).*", r"\1\2…"),
)


def play(daemon: Daemon) -> dict[str, str]:
    """Make what there is to see, as BOSH does, and return the CIDs by their names."""
    image = images.bootable("runit")
    cpi, cids = daemon.cpi, {}
    other = images.another(image, daemon.home / "older")
    for version, path in (("1.2", image), ("1.1", other)):
        about = {"name": "small", "version": version}
        cids[version] = cpi.ok("create_stemcell", str(path), about)
    port = {"host": 8080, "container": 8080, "protocol": "tcp"}
    for job, properties in (("web", {"ports": [port], "ram": 256}), ("db", {"ram": 512})):
        vm = daemon.create_vm(cids["1.2"], cloud_properties={"cpu": 1, **properties})
        told = {"director": "runc", "deployment": "shop", "job": job, "index": "0"}
        cpi.ok("set_vm_metadata", vm.cid, told)
        vm.wait_for_agent()
        cids[job] = vm.cid
        if job == "web":
            vm.shell(LOGGED)
    cids["disk"] = cpi.ok("create_disk", 64, {})
    cpi.ok("attach_disk", cids["db"], cids["disk"])
    cids["snapshot"] = cpi.ok("snapshot_disk", cids["disk"], {})
    # Port 8080 is the other VM's.
    cpi.error("create_vm", "agent-3", cids["1.2"], {"ports": [port]}, DYNAMIC, [], {})
    return cids


def asked(daemon: Daemon, command: str) -> str:
    """Run a command, and return what is seen of it."""
    done = subprocess.run(
        [CONTROL, "--config", daemon.config_file, *shlex.split(command)],
        cwd=daemon.home,
        env={**os.environ, "COLUMNS": COLUMNS, "NO_COLOR": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    lines = [line.rstrip() for line in done.stdout.splitlines()]
    return "\n".join([f"# runc-cpictl {command}", *lines, ""])


def record(daemon: Daemon) -> Iterator[str]:
    """Return the parts of the session as Markdown."""
    (daemon.home / "motd").write_text("hello\n")
    cids = play(daemon)
    for title, commands in PARTS.items():
        seen = "\n".join(asked(daemon, command.format(**cids)) for command in commands)
        yield f"## {title}\n\n```text\n{seen}```\n"
    for cid in (cids["web"], cids["db"]):
        daemon.cpi.ok("delete_vm", cid)
    daemon.cpi.ok("delete_disk", cids["disk"])


def in_one_form(text: str, daemon: Daemon) -> str:
    """Put in one form what differs from session to session, in its width if possible."""
    text = text.replace(str(daemon.work_dir), "/var/lib/runc-cpid")
    text = text.replace(str(daemon.socket), "/run/runc-cpid.sock")
    for number, cid in enumerate(dict.fromkeys(match[0] for match in CID.finditer(text))):
        kind = cid.partition("-")[0]
        text = text.replace(cid, f"{kind}-{uuid5(NAMESPACE_DNS, f'{kind}-{number}')}")
    order = sorted({match[0] for match in TIME.finditer(text) if match[1]})

    def time(match: re.Match[str]) -> str:
        if not match[1]:
            return f"{BEGINNING.isoformat()}+00:00"
        later = BEGINNING + timedelta(seconds=1 + order.index(match[0]))
        return f"{later.isoformat()}.000Z"

    text = TIME.sub(time, text)
    for pattern, form in ALIKE:
        text = re.sub(pattern, form, text)
    return text


def main() -> None:
    """Record a session in a network namespace of its own, and write the page."""
    # Made before, as its packages come over the network.
    images.bootable("runit")
    netns.enter()
    lab = Lab()
    network: dict[str, Any] = {"cidr": "10.0.0.0/16", "bridge": "runc0"}
    try:
        with lab.daemons() as new_daemon:
            daemon = new_daemon(config=network).start()
            text = in_one_form("\n".join(record(daemon)), daemon)
    finally:
        lab.close()
    PAGE.write_text(f"{HEAD}\n{text}", "utf-8")
    print("wrote docs/session.md")


if __name__ == "__main__":
    main()
