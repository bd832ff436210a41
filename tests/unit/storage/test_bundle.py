"""The files in a VM's directory, which later versions must find where they are."""

from __future__ import annotations

from pathlib import Path

from runc_cpi.daemon.storage.bundle import Bundle


def test_where_files_are() -> None:
    """Each file of a VM has the name that earlier versions gave it."""
    bundle = Bundle(Path("/w/vms/vm-1"))
    assert bundle.vm_cid == "vm-1"
    paths = {
        bundle.record: "vm.json",
        bundle.config: "config.json",
        bundle.rootfs: "rootfs",
        bundle.upper: "upper",
        bundle.work: "work",
        bundle.root_image: "root",
        bundle.layers: "layers",
        bundle.data: "data",
        bundle.ephemeral: "ephemeral",
        bundle.disks: "disks",
        bundle.console: "console.log",
        bundle.console_mount: "console",
        bundle.old_console: "console.log.1",
        bundle.pid_file: "pid",
        bundle.reboot_note: "rebooting",
        bundle.runtime_log("create"): "runtime-create.log",
    }
    assert all(path == Path("/w/vms/vm-1", name) for path, name in paths.items())
