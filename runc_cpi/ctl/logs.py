"""What the services of a VM log: the journal of systemd, or the files of agent and jobs."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Iterator, Sequence
from itertools import islice

import click

from runc_cpi.ctl.console import KEPT
from runc_cpi.ctl.inside import files_of, runtime
from runc_cpi.ctl.operator import Operator
from runc_cpi.daemon.storage.tree import Tree
from runc_cpi.printable import printable

# It is there while systemd is the init (sd_booted(3)).
SYSTEMD = "run/systemd/system"
AGENT = "var/vcap/bosh/log/current"
JOBS = "var/vcap/sys/log"
# A VM can have files and directories without end.
MOST_FILES, MOST_JOBS = 200, 200
MOST_NAMES = 1000  # in a directory
CHUNK = 1 << 16


def show_logs(operator: Operator, vm_cid: str, lines: int, *, follow: bool) -> None:
    """
    Print the end of what a VM's services have logged.

    @param lines: how many lines; of each file if there are several.
    @param follow: whether to go on with what is logged from then on.
    @raise click.ClickException: if the VM does not run here, or has logged nothing.
    """
    with files_of(operator, vm_cid) as files:
        if files.tree.stat(SYSTEMD) is not None:
            inside = ["journalctl", "--no-pager", "--quiet", f"--lines={lines}"]
            inside += ["--follow"] if follow else []
        else:
            names = list(log_files(files.tree))
            if not names:
                raise click.ClickException(
                    f"{vm_cid} has logged nothing yet; --console shows its console"
                )
            inside = ["tail", *(["-F"] if follow else []), "-n", str(lines), "--"]
            inside += [f"/{name}" for name in names]
    _stream(runtime(operator, "exec", vm_cid, *inside))


def log_files(tree: Tree) -> Iterator[str]:
    """Name the logs of the agent and of the jobs, as paths from the VM's root."""
    if _is_file(tree, AGENT):
        yield AGENT
    found = (
        f"{JOBS}/{job}/{name}"
        for job in _names(tree, JOBS)[:MOST_JOBS]
        for name in _names(tree, f"{JOBS}/{job}")
        if name.endswith(".log")
    )
    yield from islice((name for name in found if _is_file(tree, name)), MOST_FILES)


def _is_file(tree: Tree, name: str) -> bool:
    found = tree.stat(name)
    return found is not None and stat.S_ISREG(found.st_mode)


def _names(tree: Tree, directory: str) -> Sequence[str]:
    """Return the names in a directory, in order; nothing if it is none."""
    try:
        fd = tree.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return []
    try:
        with os.scandir(fd) as entries:
            names = [entry.name for entry in islice(entries, MOST_NAMES)]
    finally:
        os.close(fd)
    return sorted(names)


def _stream(argv: Sequence[str]) -> None:
    """
    Print what a command in a VM prints, which cannot act on the terminal.

    @raise click.ClickException: if it fails.
    """
    try:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="backslashreplace",
        )
    except OSError as error:
        raise click.ClickException(f"{argv[0]}: {error.strerror}") from None
    assert process.stdout is not None
    last = ""
    with process:
        try:
            while line := process.stdout.readline(CHUNK):
                last = line.strip() or last
                sys.stdout.write(printable(line, KEPT))
                sys.stdout.flush()
            process.wait()
        except KeyboardInterrupt:
            return
        finally:
            # What follows a file never ends by itself.
            if process.poll() is None:
                process.terminate()
    if process.returncode:
        raise click.ClickException(f"{argv[5]} in the VM: {last or 'it failed'}")
