"""Containers inside VMs: the jobs of many releases run under bpm, which uses runc."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from runc_cpi.daemon.host import capabilities
from tests.harness.daemon import Daemon
from tests.harness.lab import NewDaemon
from tests.harness.vm import VM

# The limits in bpm's own specification, for which cgroups must be writable.
LIMITS = {"memory": {"limit": 64 << 20}, "pids": {"limit": 50}}
SCRIPT = "echo nested; cat /proc/self/cgroup; mount -t tmpfs x /tmp && echo mounted"
BUNDLE = "/var/vcap/data/bundle"


def bundle(vm: VM, script: str) -> dict[str, Any]:
    """Make a bundle in a VM; return its specification, which L{run} takes."""
    vm.shell(
        f"mkdir -p {BUNDLE}/rootfs/bin {BUNDLE}/rootfs/tmp && cd {BUNDLE} && runc spec"
    )
    vm.shell(f"cp /bin/busybox {BUNDLE}/rootfs/bin/")
    for applet in ("sh", "cat", "mount", "date", "dmesg", "rmmod", "reboot", "head"):
        vm.shell(f"ln -s busybox {BUNDLE}/rootfs/bin/{applet}")
    spec = json.loads(vm.read(f"{BUNDLE}/config.json"))
    spec["process"].update(terminal=False, args=["/bin/sh", "-c", script])
    spec["process"].pop("rlimits", None)
    return spec


def run(vm: VM, spec: Mapping[str, Any]) -> subprocess.CompletedProcess[str]:
    """Run the container of a bundle."""
    (vm.directory / "data" / "bundle" / "config.json").write_text(json.dumps(spec))
    return vm.attempt("runc", "run", "--bundle", BUNDLE, "nested")


@pytest.mark.parametrize("profile", ["default", "isolated"])
def test_a_container_in_a_vm(
    new_daemon: NewDaemon, kind: str, image: Callable[[str], Path], profile: str
) -> None:
    """runc inside a VM runs a container with limits, and leaves nothing of it."""
    daemon = new_daemon(config={"security": {"profile": profile}}).start()
    vm = daemon.create_vm(daemon.create_stemcell(image(kind)))
    vm.wait_for_agent()
    spec = bundle(vm, SCRIPT)
    for names in spec["process"]["capabilities"].values():
        names.append("CAP_SYS_ADMIN")
    spec["linux"]["resources"].update(LIMITS)
    outcome = run(vm, spec)
    assert outcome.returncode == 0, outcome.stderr
    assert outcome.stdout.startswith("nested\n")
    assert outcome.stdout.endswith("mounted\n")
    # Its cgroup is below the VM's, and hidden from it by the VM's cgroup namespace.
    assert daemon.cgroup not in outcome.stdout
    assert vm.run("runc", "list", "-q") == ""


# The capabilities of bpm's "privileged", which must all be there, and attempts to use some
# of them on the host.
PRIVILEGED = """\
date -s "@$(date +%s)" 2>&1
dmesg 2>&1 | head -n 1
rmmod ext4 2>&1
reboot -f 2>&1
busybox adjtimex -o 1 2>&1
echo done
"""


def test_all_capabilities(daemon: Daemon, kind: str, image: Callable[[str], Path]) -> None:
    """
    A VM with all capabilities can pass them on; what would harm the host is still refused.
    """
    stemcell_cid = daemon.create_stemcell(image(kind))
    every = [*capabilities.grantable(frozenset())]
    told = []
    for properties in ({}, {"capabilities": "all"}):
        vm = daemon.create_vm(stemcell_cid, cloud_properties=properties)
        vm.wait_for_agent()
        spec = bundle(vm, PRIVILEGED)
        for names in ("bounding", "effective", "permitted"):
            spec["process"]["capabilities"][names] = every
        told.append((vm, run(vm, spec)))
    (usual, refused), (vm, outcome) = told
    assert "unable to apply caps" in refused.stderr
    assert outcome.returncode == 0, outcome.stderr
    lines = outcome.stdout.splitlines()
    assert lines[-1] == "done"
    assert outcome.stdout.count("Operation not permitted") == 5, outcome.stdout
    assert "No such device" in vm.attempt("cat", "/proc/kmsg").stderr
    assert "Read-only" in vm.attempt("sh", "-c", "echo 1 >/proc/sys/vm/swappiness").stderr
    assert usual.is_alive()
    assert vm.is_alive()
