"""A root file system for a container, mounted where only that container sees it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from runc_cpi.daemon.storage.bundle import Bundle

# Mounts that the host makes later still arrive, as those of disks must.
_UNSHARE = ("unshare", "--mount", "--propagation", "slave")
# $1: options, $2: where; the rest is what to run there.
_SCRIPT = 'mount -t overlay -o "$1" overlay "$2" && shift 2 && exec "$@"'


def inside_overlay(argv: Sequence[str], bundle: Bundle, lower: Path) -> list[str]:
    """
    Return the command line that runs a program which sees an overlay at C{rootfs}.

    The mount is in a mount namespace of the program and what it starts, so it goes when
    the last of these ends: there is nothing to unmount, and nothing that a crash could
    leave.  Newer runtimes refuse to mount it themselves.

    @param argv: the program, which creates a container.
    @param bundle: the bundle of the container.
    @param lower: the file system below, which stays as it is.
    """
    options = f"lowerdir={lower},upperdir={bundle.upper},workdir={bundle.work}"
    shell = ["sh", "-c", _SCRIPT, "overlay", options, str(bundle.rootfs)]
    return [*_UNSHARE, *shell, *argv]
