"""The directory of a new VM, with the files and directories that it boots with."""

from __future__ import annotations

from pathlib import Path

from runc_cpi.daemon.networks.settings import name_servers
from runc_cpi.daemon.stemcells.stemcell import Stemcell
from runc_cpi.daemon.storage.bundle import Bundle
from runc_cpi.daemon.vms.files.guest_files import agent_config, guest_files, write_upper
from runc_cpi.daemon.vms.files.settings_file import settings_file
from runc_cpi.daemon.vms.vm import VM


def furnish(bundle: Bundle, vm: VM, stemcell: Stemcell, *, agent_binds: bool) -> None:
    """
    Make the directory of a VM, and the files it boots with.

    @param agent_binds: whether the agent is to bind-mount persistent disks.
    @raise OSError: if the directory is there, or something cannot be written.
    """
    _make_directories(bundle)
    files = guest_files(
        vm_cid=vm.vm_cid,
        address=vm.addresses[0],
        dns=name_servers(vm.networks),
        features=stemcell.features,
    )
    files.append(settings_file(vm.settings({})))
    files += agent_config(stemcell.rootfs, binds=agent_binds)
    write_upper(files, stemcell.rootfs, bundle.upper)


def _make_directories(bundle: Bundle) -> None:
    for path in (bundle.path, bundle.rootfs, bundle.work):
        path.mkdir(mode=0o700)
    for path in (bundle.upper, bundle.data):
        _make_visible(path)


def _make_visible(path: Path) -> None:
    """Make a directory that shows in the VM, as "/" or "/var/vcap/data"."""
    path.mkdir()
    path.chmod(0o755)
