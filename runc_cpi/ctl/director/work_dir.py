"""The end of a daemon's data, when the daemon has ended and has no VM."""

from __future__ import annotations

import fcntl
import subprocess
from hashlib import sha256
from pathlib import Path

import click

from runc_cpi.ctl.director.directory import remove_whole
from runc_cpi.ctl.director.running import passed
from runc_cpi.daemon.config import DaemonConfig
from runc_cpi.daemon.storage.depot import NAMES


def remove_work_dir(config: DaemonConfig) -> str:
    """
    Remove what a daemon has made in its working directory, and its bridges.

    @return: what was done, and what is left.
    @raise click.ClickException: if a daemon uses it, or something is still mounted there.
    """
    work_dir = config.work_dir
    if _is_used(work_dir / "lock"):
        raise click.ClickException(f"a daemon still uses {work_dir}; end it first")
    if (work_dir / "vms").is_dir():
        for vm in (work_dir / "vms").iterdir():
            raise click.ClickException(f"{work_dir}: there are VMs, such as {vm.name}")
    below = [point for point in _mounts() if point.startswith(f"{work_dir}/")]
    if below:
        raise click.ClickException(f"{below[0]} is mounted; unmount it first")
    _remove_bridges(config)
    if not work_dir.exists():
        return f"{work_dir} is gone"
    if not (work_dir / "lock").exists() and any(work_dir.iterdir()):
        return f"{work_dir} stays: no daemon has used it"
    for name in NAMES:
        remove_whole(work_dir / name)
    left = sorted(path.name for path in work_dir.iterdir())
    if left:
        return f"{work_dir} stays, with files of others: {', '.join(left)}"
    try:
        work_dir.rmdir()
    except OSError:
        return f"{work_dir} emptied"  # it is a mount point
    return f"{work_dir} removed"


def _is_used(lock: Path) -> bool:
    if not lock.exists():
        return False
    with lock.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _mounts() -> list[str]:
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as table:
        return [line.split()[4].replace("\\040", " ") for line in table]


def _remove_bridges(config: DaemonConfig) -> None:
    """Remove the bridges that this daemon has made, and no others."""
    daemon = f"runc-cpid-{sha256(str(config.work_dir).encode()).hexdigest()[:8]}"
    for network in config.networks:
        shown = _ip("-details", "link", "show", "dev", network.bridge)
        if f"alias runc-cpid bridge of {daemon}" in shown:
            _ip("link", "delete", "dev", network.bridge)


def _ip(*arguments: str) -> str:
    argv = ["ip", *arguments]
    told = subprocess.run(argv, env=passed(), capture_output=True, text=True, check=False)
    return told.stdout
