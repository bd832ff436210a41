"""The OCI runtime: one method an operation of its command line."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from twisted.internet.threads import deferToThread
from zope.interface import implementer

from runc_cpi.daemon.base.outcome import Outcome
from runc_cpi.daemon.host.cgroups import hierarchies, killing
from runc_cpi.daemon.host.cgroups.devices import DeviceRules, allowed_by
from runc_cpi.daemon.host.oci.console import CONSOLE, open_console
from runc_cpi.daemon.host.oci.init import Init
from runc_cpi.daemon.host.oci.overlay import inside_overlay
from runc_cpi.daemon.host.processes import Lane, Processes
from runc_cpi.daemon.vms.interfaces import IRuntime
from runc_cpi.daemon.vms.spec import INSIDE
from runc_cpi.errors import CloudError

LOG_TAIL = 8192
PID_FILE = "pid"


@implementer(IRuntime)
class Runtime:
    """
    Drives runc or another runtime with runc's command line.

    Every call has the runtime log to a file of its own, in JSON: the last error there
    is what a failed call is reported with.  A container's own output goes to a file as
    well; a pipe would stay open as long as the container lives, and could fill.

    @param program: the runtime's name or path.
    @param root: where the runtime keeps its state.
    @param cgroup_parent: below which path the cgroups of its containers are.
    @param rules: which devices its containers may use.
    @param timeout: after how many seconds an operation is given up.
    """

    def __init__(
        self,
        reactor: Any,
        processes: Processes,
        program: str,
        root: Path,
        cgroup_parent: str,
        rules: DeviceRules,
        *,
        timeout: float,
    ) -> None:
        self._reactor, self._processes = reactor, processes
        self._program, self._root = program, root
        self._cgroup_parent, self._timeout = cgroup_parent, timeout
        self._rules = rules

    async def create(self, container_id: str, bundle: Path, lower: Path) -> int:
        """
        Make the container and its namespaces; its process does not run yet.

        @param bundle: the directory of its C{config.json}; C{console.log} there gets
            the container's output.
        @param lower: the file system that its own is laid over.
        @return: the pid of what will be its first process.
        """
        cgroup = self.cgroup_of(container_id)
        try:
            await deferToThread(self._rules.fence, cgroup, allowed_by(bundle))
        except OSError as error:
            raise CloudError(f"cannot bound devices of {container_id}: {error}") from None
        pid_file = bundle / PID_FILE
        arguments = ["--bundle", str(bundle), "--pid-file", str(pid_file)]
        console = open_console(bundle)
        try:
            await self._call(
                "create",
                [*arguments, container_id],
                bundle,
                output=console,
                lower=lower,
            )
        finally:
            os.close(console)
        try:
            await deferToThread(hierarchies.share_limits, cgroup, INSIDE)
        except OSError as error:
            raise CloudError(f"cannot bound {container_id}: {error}") from None
        return int(pid_file.read_text("ascii"))

    async def start(self, container_id: str, bundle: Path) -> None:
        """Let the first process of a created container run."""
        await self._call("start", [container_id], bundle)

    async def delete(self, container_id: str, bundle: Path) -> None:
        """
        End all processes of a container at once, and remove it and its cgroups.  An
        unknown one is no error.

        @raise StillRunning: if a process of it does not end.
        @raise CloudError: if the runtime fails.
        """
        await self._kill(container_id, bundle)
        # Before the runtime tries: it goes by paths, and some may be too long for it.
        await deferToThread(hierarchies.remove, self.cgroup_of(container_id))
        if self.knows(container_id):
            try:
                await self._call("delete", ["--force", container_id], bundle)
            except CloudError:
                if self._has_sound_state(container_id):
                    raise
                # The runtime cannot read its own state, and so will never succeed.
                state = self._root / container_id
                await deferToThread(shutil.rmtree, state, ignore_errors=True)
            await deferToThread(hierarchies.remove, self.cgroup_of(container_id))

    def _has_sound_state(self, container_id: str) -> bool:
        try:
            json.loads((self._root / container_id / "state.json").read_bytes())
        except (OSError, ValueError):
            return False
        return True

    async def _kill(self, container_id: str, bundle: Path) -> None:
        init = self.find_init(container_id, bundle)
        try:
            await killing.end(self._reactor, self.cgroup_of(container_id), init)
        finally:
            if init is not None:
                init.close()

    def knows(self, container_id: str) -> bool:
        """
        Say whether the runtime has a state for the container, running or not.

        After a reboot of the host it has none: the state is good for one boot.
        """
        return (self._root / container_id).exists()

    def find_init(self, container_id: str, bundle: Path) -> Init | None:
        """Take hold of the container's first process, or return L{None} if it ended."""
        try:
            pid = int((bundle / PID_FILE).read_text("ascii"))
        except (FileNotFoundError, ValueError):
            return None
        return Init.find(self._reactor, pid, self.cgroup_of(container_id))

    def cgroup_of(self, container_id: str) -> str:
        """Return the path of the cgroup, in each hierarchy, that a container's is in."""
        return f"{self._cgroup_parent}/{container_id}"

    def known(self) -> list[str]:
        """Name the containers that the runtime has a state of, or the kernel a cgroup."""
        states = {path.name for path in self._root.iterdir() if path.is_dir()}
        return sorted(states | hierarchies.children(self._cgroup_parent))

    async def execute(
        self, container_id: str, bundle: Path, argv: Sequence[str], timeout: float
    ) -> Outcome:
        """Run a command inside a running container, to its end."""
        return await self._processes.run(
            [self._program, "--root", str(self._root), "exec", container_id, *argv],
            timeout=timeout,
            lane=Lane.IDLE,
        )

    async def _call(
        self,
        operation: str,
        arguments: Sequence[str],
        bundle: Path,
        *,
        output: int | None = None,
        lower: Path | None = None,
    ) -> None:
        log = bundle / f"runtime-{operation}.log"
        log.unlink(missing_ok=True)
        argv = [self._program, "--root", str(self._root)]
        argv += ["--log", str(log), "--log-format", "json", operation, *arguments]
        if lower is not None:
            argv = inside_overlay(argv, bundle, lower)
        before = os.fstat(output).st_size if output is not None else 0
        outcome = await self._processes.run(argv, timeout=self._timeout, output=output)
        if not outcome.ok:
            program = os.path.basename(self._program)
            detail = last_error(log)
            if detail is None and output is not None:
                # It died before it could log; what it said is where a VM's output goes.
                detail = last_line(bundle / CONSOLE, before)
            detail = detail or outcome.complaint()
            raise CloudError(f"{program} {operation}: {outcome.ending}: {detail}")


def last_error(log: Path) -> str | None:
    """Return the last error of a runtime's JSON log, or L{None}."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - LOG_TAIL))
            lines = file.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return None
    for line in reversed(lines):
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict) and entry.get("level") in ("error", "fatal"):
            return str(entry.get("msg", ""))
    return None


def last_line(path: Path, begin: int) -> str | None:
    """Return the last line of what a file holds from C{begin} on, or L{None}."""
    try:
        with path.open("rb") as file:
            file.seek(max(begin, path.stat().st_size - LOG_TAIL))
            lines = file.read().decode("utf-8", "replace").split("\n")
    except OSError:
        return None
    told = [line.strip() for line in lines if line.strip()]
    return told[-1] if told else None
