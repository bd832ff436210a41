"""Ways into a VM, for root of its host: its file system, and its runtime's commands."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import click
from click.shell_completion import CompletionItem

from runc_cpi.ctl.operator import Operator
from runc_cpi.ctl.tables import no_such
from runc_cpi.daemon.host.user_namespaces import root_of_namespace
from runc_cpi.daemon.storage.tree import Tree
from runc_cpi.printable import printable

CID = re.compile(r"vm-[0-9a-f-]{36}")
TIMEOUT = 60.0  # seconds
AS_ROOT = "run this as root"
SHOWN = 300  # characters of what a runtime says
# What runc and others say of a container that they do not have: a VM that is down.
NO_CONTAINER = re.compile("does not exist|no such file", re.IGNORECASE)


class VMCid(click.ParamType[str]):
    """The id of a VM; it becomes part of a path."""

    name = "vm_cid"

    def convert(
        self, value: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        """Return what is the id of a VM, or end with a usage error."""
        if not CID.fullmatch(value):
            self.fail(f"{value!r} is not the id of a VM", param, ctx)
        return value

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Offer the ids of this host's VMs, where they can be seen."""
        operator = Operator()
        operator.config_file = ctx.find_root().params["config"] or operator.config_file
        try:
            names = sorted(os.listdir(operator.config.work_dir / "vms"))
        except (OSError, click.UsageError):
            return []
        return [CompletionItem(name) for name in names if name.startswith(incomplete)]


@dataclass(frozen=True, kw_only=True)
class Files:
    """
    The files of a VM that runs, as the VM sees them.

    @ivar tree: its root; no name leads out of it.
    @ivar owner: the host's id of the VM's root.
    """

    tree: Tree
    owner: int


def runtime(operator: Operator, *arguments: str) -> list[str]:
    """Return a command line of the OCI runtime that has the VMs."""
    config = operator.config
    return [config.runtime, "--root", str(config.work_dir / "runtime"), *arguments]


@contextmanager
def files_of(operator: Operator, vm_cid: str) -> Iterator[Files]:
    """
    Open the file system of a VM.

    @raise click.ClickException: if the VM does not run here, or this is not root.
    """
    pid = first_process(operator, vm_cid)
    with ExitStack() as stack:
        try:
            tree = stack.enter_context(Tree.at(Path(f"/proc/{pid}/root")))
            owner = root_of_namespace(pid)
        except PermissionError as error:
            message = f"{error.filename}: only root may look there; {AS_ROOT}"
            raise click.ClickException(message) from None
        except (FileNotFoundError, ProcessLookupError):
            raise click.ClickException(f"{vm_cid} has just ended; try again") from None
        if first_process(operator, vm_cid) != pid:
            raise click.ClickException(f"{vm_cid} has just been booted; try again")
        yield Files(tree=tree, owner=owner)


def first_process(operator: Operator, vm_cid: str) -> int:
    """
    Return the pid of a VM's first process, which the runtime has made sure of.

    @raise click.ClickException: if it has none, or this is not root.
    @raise CPIError: if there is no such VM.
    """
    argv = runtime(operator, "state", vm_cid)
    try:
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=TIMEOUT,
            check=False,
        )
        state = json.loads(done.stdout) if done.returncode == 0 else {}
    except OSError as error:
        raise click.ClickException(f"{argv[0]}: {error.strerror}") from None
    except (ValueError, subprocess.TimeoutExpired):
        raise click.ClickException(f"{argv[0]}: does not tell of {vm_cid}") from None
    if state.get("status") != "running":
        if os.geteuid() == 0 and not (operator.config.work_dir / "vms" / vm_cid).exists():
            raise no_such("vm", vm_cid)
        raise click.ClickException(_why_not(argv[0], vm_cid, done))
    return int(state["pid"])


def _why_not(program: str, vm_cid: str, done: subprocess.CompletedProcess[bytes]) -> str:
    """Say why a VM cannot be looked into, and what to type."""
    lines = done.stderr.decode("utf-8", "backslashreplace").strip().splitlines()
    last = printable(lines[-1], "")[:SHOWN] if lines else f"it ended with {done.returncode}"
    if done.returncode and os.geteuid() != 0:
        return f"{program} does not tell of {vm_cid}: {last}; {AS_ROOT}"
    if done.returncode and not NO_CONTAINER.search(last):
        return f"{program} does not tell of {vm_cid}: {last}"
    return f"{vm_cid} does not run on this host; to boot it: runc-cpictl vm start {vm_cid}"
