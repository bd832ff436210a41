"""The directory of a new VM, with the files and directories that it boots with."""

from __future__ import annotations

import os
from pathlib import Path

from runc_cpi.daemon.networks.settings import name_servers
from runc_cpi.daemon.stemcells.stemcell import Stemcell
from runc_cpi.daemon.storage import ids
from runc_cpi.daemon.storage.bundle import Bundle
from runc_cpi.daemon.vms.files.guest_files import agent_config, guest_files, write_upper
from runc_cpi.daemon.vms.files.settings_file import settings_file
from runc_cpi.daemon.vms.vm import VM


def furnish(
    bundle: Bundle,
    vm: VM,
    stemcell: Stemcell,
    *,
    agent_binds: bool,
    own_ids: tuple[int, int] | None,
) -> None:
    """
    Make the directory of a VM, and the files it boots with.

    @param agent_binds: whether the agent is to bind-mount persistent disks.
    @param own_ids: the first and the last of the ids of which the VM gets its own, or
        L{None} if its users are to have the host's ids.
    @raise CloudError: if all these ids are taken.
    @raise OSError: if the directory is there, or something cannot be written.
    """
    bundle.path.mkdir(mode=0o700)
    if own_ids is not None:
        ids.assign(bundle.path, *own_ids)
    _make_directories(bundle)
    files = guest_files(
        vm_cid=vm.vm_cid,
        address=vm.addresses[0],
        dns=name_servers(vm.networks),
        features=stemcell.features,
    )
    files.append(settings_file(vm.settings({})))
    files += agent_config(stemcell.rootfs, binds=agent_binds)
    write_upper(files, stemcell.rootfs, bundle.upper, bundle.ids)


def _make_directories(bundle: Bundle) -> None:
    for path in (bundle.rootfs, bundle.work):
        path.mkdir(mode=0o700)
    for path in (bundle.upper, bundle.data):
        _make_visible(path)
    own = bundle.ids
    if own is not None:
        for path in (bundle.work, bundle.upper, bundle.data):
            os.chown(path, own.first, own.first)


def _make_visible(path: Path) -> None:
    """Make a directory that shows in the VM, as "/" or "/var/vcap/data"."""
    path.mkdir()
    path.chmod(0o755)
