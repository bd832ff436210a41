"""The console of a VM: the file that its output goes to."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from runc_cpi.daemon.host import mounting
from runc_cpi.daemon.host.files.flags import clear_file
from runc_cpi.daemon.storage.bundle import Bundle

SIZE = 4 << 20  # bytes of the file system that a console is on


def open_console(bundle: Bundle) -> int:
    """
    Open, for appending, the file that a VM's output goes to.

    It is on a file system of its own: whatever the VM writes, with or without a daemon,
    takes L{SIZE} bytes at most.  After that it is told that there is no room, until the
    file is trimmed.

    @return: a descriptor.
    @raise OSError: if the file cannot be made.
    """
    mount, link = bundle.console_mount, bundle.console
    mount.mkdir(mode=0o700, exist_ok=True)
    if not os.path.ismount(mount):
        mounting.mount_memory(str(mount), SIZE)
    file = mount / link.name
    if not link.is_symlink():
        link.unlink(missing_ok=True)  # of an earlier version, which had the file here
        link.symlink_to(Path(mount.name, file.name))
    # Appending makes it safe to cut the file short while it is written to.
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
    try:
        console = os.open(file, flags, 0o600)
    except PermissionError:
        clear_file(file)  # the VM, whose output it is, made it immutable
        console = os.open(file, flags, 0o600)
    if (owner := bundle.root_id) != 0:
        # Its programs may open it anew, as /dev/stdout.
        os.fchown(console, owner, owner)
    return console


def close_console(directory: Path) -> None:
    """
    Unmount the file system of a console, if there is one.

    @param directory: a directory that is about to be removed, of a VM or not.
    """
    with suppress(OSError):
        mounting.detach(str(Bundle(directory).console_mount))
