"""The directory of a new VM, with the files and directories that it boots with."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path, PurePath

from runc_cpi.daemon.networks.settings import name_servers
from runc_cpi.daemon.stemcells.stemcell import Stemcell
from runc_cpi.daemon.storage import ids
from runc_cpi.daemon.storage.bundle import Bundle
from runc_cpi.daemon.storage.records import sync_directory
from runc_cpi.daemon.storage.tree import Tree
from runc_cpi.daemon.vms.files.guest_files import (
    agent_config,
    guest_files,
    isolated_files,
    write_upper,
)
from runc_cpi.daemon.vms.files.settings_file import settings_file
from runc_cpi.daemon.vms.vm import VM


def make_directory(bundle: Bundle, *, own_ids: tuple[int, int] | None) -> None:
    """
    Make the directory of a VM, and what is in it whatever the VM is like.

    @param own_ids: the first and the last of the ids of which the VM gets its own, or
        L{None} if its users are to have the host's ids.
    @raise CloudError: if all these ids are taken.
    @raise OSError: if the directory is there, or cannot be made.
    """
    bundle.path.mkdir(mode=0o700)
    if own_ids is not None:
        ids.assign(bundle.path, *own_ids)
    bundle.rootfs.mkdir(mode=0o700)


def furnish(
    bundle: Bundle, vm: VM, stemcell: Stemcell, *, agent_binds: bool
) -> Sequence[str]:
    """
    Make the layers of a VM's root file system, its data, and the files it boots with.

    @param bundle: its root disk is mounted, if it has one; /var/vcap/data is on it then,
        unless that is a disk of its own.
    @param agent_binds: whether the agent is to bind-mount persistent disks.
    @return: the names of the files, from the VM's root.
    @raise OSError: if the layers are there, or something cannot be written.
    """
    work, upper = _place(bundle, bundle.work), _place(bundle, bundle.upper)
    data = bundle.data
    if vm.properties.ephemeral_disk_size is None:
        data = _place(bundle, data)
    work.mkdir(mode=0o700)
    _make_visible(upper)
    _make_visible(data)
    _give(bundle, work, upper, data)
    files = guest_files(
        vm_cid=vm.vm_cid,
        address=vm.addresses[0],
        dns=name_servers(vm.networks),
        features=stemcell.features,
    )
    files.append(settings_file(vm.settings({})))
    files += agent_config(stemcell.rootfs, binds=agent_binds)
    if bundle.ids is not None:
        files += isolated_files()
    write_upper(files, stemcell.rootfs, bundle.upper, bundle.ids)
    return [file.name for file in files]


def sync(bundle: Bundle, names: Sequence[str]) -> None:
    """
    Have on the disk what L{furnish} made, unless it made it on a root disk.

    The VM may run by now: nothing that it put there instead is opened, or waited for.

    @param names: of the files.
    @raise OSError: if the disk fails, or is full.
    """
    if bundle.layers.exists():
        return
    for directory in (bundle.work, bundle.data):
        if directory.exists():
            sync_directory(directory)
    with Tree.at(bundle.upper) as tree:
        above = {str(parent) for name in names for parent in PurePath(name).parents}
        for name in names:
            _sync(tree.open_file, name)
        for name in sorted(above):
            _sync(tree.open_directory, name)


def _sync(opening: Callable[[str], int], name: str) -> None:
    """Have on the disk what a name leads to, if it leads somewhere still."""
    try:
        fd = opening(name)
    except OSError:
        return  # the VM changed it
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _place(bundle: Bundle, directory: Path) -> Path:
    """Return where to make a directory: on the root disk, if there is one, with a link."""
    if not bundle.layers.exists():
        return directory
    directory.symlink_to(Path(bundle.layers.name, directory.name))
    _give(bundle, directory)  # so it tells the VM's ids while the root disk is not mounted
    return bundle.layers / directory.name


def _give(bundle: Bundle, *paths: Path) -> None:
    """Have a VM's root own directories or links, if its users have ids of their own."""
    own = bundle.ids
    if own is not None:
        for path in paths:
            os.chown(path, own.first, own.first, follow_symlinks=False)


def _make_visible(path: Path) -> None:
    """Make a directory that shows in the VM, as "/" or "/var/vcap/data"."""
    path.mkdir()
    path.chmod(0o755)
