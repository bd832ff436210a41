"""The end of a daemon's data, when the daemon has ended and has no VM."""

from __future__ import annotations

import fcntl
import shutil
import subprocess
from hashlib import sha256
from pathlib import Path

import click

from runc_cpi.ctl.director.running import passed
from runc_cpi.daemon.config import DaemonConfig


def remove_work_dir(config: DaemonConfig) -> str:
    """
    Remove the working directory of a daemon, and its bridges.

    @return: what was done.
    @raise click.ClickException: if a daemon uses it, or something is still mounted there.
    """
    work_dir = config.work_dir
    if _is_used(work_dir / "lock"):
        raise click.ClickException(f"a daemon still uses {work_dir}; end it first")
    if (work_dir / "vms").is_dir() and any((work_dir / "vms").iterdir()):
        raise click.ClickException(f"{work_dir}: there are VMs")
    below = [point for point in _mounts() if point.startswith(f"{work_dir}/")]
    if below:
        raise click.ClickException(f"{below[0]} is mounted; unmount it first")
    _remove_bridges(config)
    if not work_dir.exists():
        return f"{work_dir} is gone"
    for path in work_dir.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
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
