"""Containers inside VMs: the jobs of many releases run under bpm, which is runc."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from tests.harness.daemon import Daemon

# What bpm's own specification limits, so that cgroups must be writable for it.
LIMITS = {"memory": {"limit": 64 << 20}, "pids": {"limit": 50}}
SCRIPT = "echo nested; cat /proc/self/cgroup; mount -t tmpfs x /tmp && echo mounted"


def test_a_container_in_a_vm(
    daemon: Daemon, kind: str, image: Callable[[str], Path]
) -> None:
    """runc inside a VM runs a container with limits, and leaves nothing of it."""
    vm = daemon.create_vm(daemon.create_stemcell(image(kind)))
    vm.wait_for_agent()
    bundle = "/var/vcap/data/bundle"
    vm.shell(
        f"mkdir -p {bundle}/rootfs/bin {bundle}/rootfs/tmp && cd {bundle} && runc spec"
    )
    vm.shell(f"cp /bin/busybox {bundle}/rootfs/bin/")
    for applet in ("sh", "cat", "mount"):
        vm.shell(f"ln -s busybox {bundle}/rootfs/bin/{applet}")
    spec = json.loads(vm.read(f"{bundle}/config.json"))
    spec["process"].update(terminal=False, args=["/bin/sh", "-c", SCRIPT])
    for names in spec["process"]["capabilities"].values():
        names.append("CAP_SYS_ADMIN")
    # bpm asks for no more than what the VM may have itself.
    spec["process"].pop("rlimits", None)
    spec["linux"]["resources"].update(LIMITS)
    (vm.directory / "data" / "bundle" / "config.json").write_text(json.dumps(spec))
    outcome = vm.attempt("runc", "run", "--bundle", bundle, "nested")
    assert outcome.returncode == 0, outcome.stderr
    assert outcome.stdout.startswith("nested\n")
    assert outcome.stdout.endswith("mounted\n")
    # Its cgroup is below the VM's, and hidden from it by the VM's cgroup namespace.
    assert daemon.cgroup not in outcome.stdout
    assert vm.run("runc", "list", "-q") == ""
