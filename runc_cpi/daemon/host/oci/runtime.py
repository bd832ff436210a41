"""The OCI runtime: one method an operation of its command line."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

from twisted.internet.threads import deferToThread
from zope.interface import implementer

from runc_cpi.daemon.base.calls import span, spanned
from runc_cpi.daemon.base.outcome import Outcome
from runc_cpi.daemon.base.shortage import failed_program
from runc_cpi.daemon.host.cgroups import hierarchies, killing
from runc_cpi.daemon.host.cgroups.devices import DeviceRules, allowed_by
from runc_cpi.daemon.host.cgroups.moves import Moves
from runc_cpi.daemon.host.guests.guests import Guests
from runc_cpi.daemon.host.oci import exec_fifo, runtime_state
from runc_cpi.daemon.host.oci.console import open_console
from runc_cpi.daemon.host.oci.console_trimmer import ConsoleTrimmer
from runc_cpi.daemon.host.oci.first_process import FirstProcess
from runc_cpi.daemon.host.oci.root_mounts import inside_namespace, namespace_with_root
from runc_cpi.daemon.host.oci.runtime_log import last_error, last_line
from runc_cpi.daemon.host.oci.views import Views
from runc_cpi.daemon.host.processes import Lane, Processes
from runc_cpi.daemon.storage.bundle import Bundle
from runc_cpi.daemon.vms.interfaces import IRuntime
from runc_cpi.daemon.vms.spec.cgroup_path import INSIDE, container_cgroup, vm_cgroup
from runc_cpi.errors import CloudError


@implementer(IRuntime)
class Runtime:
    """
    Drives runc or another runtime with runc's command line.

    Every call has the runtime log to a file of its own, in JSON: the last error there
    is what a failed call is reported with.  A container's own output goes to its console,
    which is a file: a pipe would stay open as long as the container lives, and could fill.

    @param program: the runtime's name or path.
    @param root: where the runtime keeps its state.
    @param cgroup_parent: below which path the cgroups of its containers are.
    @param rules: which devices its containers may use.
    @param consoles: keeps the consoles of its containers short.
    @param guests: mounts the root file systems of VMs.
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
        consoles: ConsoleTrimmer,
        guests: Guests,
        *,
        timeout: float,
    ) -> None:
        self._reactor, self._processes = reactor, processes
        self._program, self._root = program, root
        self._cgroup_parent, self._timeout = cgroup_parent, timeout
        self._rules, self._consoles, self._guests = rules, consoles, guests
        self._views, self._moves = Views(), Moves()

    def anticipate(self) -> None:
        """Have the kernel move a process to a new cgroup at once, if that comes soon."""
        self._moves.hasten()

    async def create(self, bundle: Bundle, lower: Path) -> int:
        """
        Make the container and its namespaces; its process does not run yet.

        @param bundle: the bundle, with the container's specification in it.
        @param lower: the file system that its own is laid over.
        @return: the pid of what will be its first process.
        @raise CloudError: if the runtime or the kernel fails.
        """
        vm_cid, cgroup = bundle.vm_cid, self._cgroup_of(bundle)
        try:
            with span("cgroup"):
                await deferToThread(self._rules.fence, cgroup, allowed_by(bundle))
        except OSError as error:
            raise CloudError(f"cannot bound devices of {vm_cid}: {error}") from None
        arguments = ["--bundle", str(bundle.path), "--pid-file", str(bundle.pid_file)]
        console = open_console(bundle)
        self._consoles.add(bundle)
        try:
            await self._call(
                "create", [*arguments, vm_cid], bundle, output=console, lower=lower
            )
        finally:
            os.close(console)
        try:
            with span("cgroup"):
                await deferToThread(self._bound, cgroup)
                if bundle.ids is not None:
                    inside = container_cgroup(cgroup)
                    await deferToThread(hierarchies.give, inside, bundle.root_id)
        except OSError as error:
            raise CloudError(f"cannot bound {vm_cid}: {error}") from None
        return int(bundle.pid_file.read_text("ascii"))

    def _bound(self, cgroup: str) -> None:
        """
        Have the VM's own cgroup bound it, as the container's does.

        @raise OSError: if the kernel refuses.
        """
        self._rules.narrow(cgroup)
        hierarchies.share_limits(cgroup, INSIDE)

    async def start(self, bundle: Bundle) -> None:
        """
        Let the first process of a created container run.

        @raise CloudError: if the runtime or the kernel fails, or takes too long.
        """
        first = self.find_process(bundle)
        if first is not None:
            state, seconds = self._root / bundle.vm_cid, self._timeout
            starting = partial(exec_fifo.let_run, state, first.pid, seconds)
            try:
                with span("start"):
                    # Not one of the few threads for small work: it may wait that long.
                    if await self._guests.run(bundle.vm_cid, starting, seconds=2 * seconds):
                        return
            finally:
                # Until then nothing else gets its pid.
                first.close()
        await self._call("start", [bundle.vm_cid], bundle)

    async def delete(self, bundle: Bundle) -> None:
        """
        End all processes of a container at once, and remove it and its cgroups.

        A container that is not there is no error.

        @raise StillRunning: if a process of it does not end.
        @raise CloudError: if the runtime fails.
        """
        vm_cid, cgroup = bundle.vm_cid, self._cgroup_of(bundle)
        # Before the runtime tries: it goes by paths, and some may be too long for it.
        if not await self._remove(cgroup):
            await self.kill(bundle)
            await self._remove(cgroup)
        if self.knows(vm_cid):
            try:
                await self._call("delete", ["--force", vm_cid], bundle)
            except CloudError:
                state = self._root / vm_cid
                if runtime_state.is_sound(state):
                    raise
                # The runtime cannot read its own state, and so will never succeed.
                await deferToThread(shutil.rmtree, state, ignore_errors=True)
            await self._remove(cgroup)

    @spanned("cgroup")
    async def _remove(self, cgroup: str) -> bool:
        return await deferToThread(hierarchies.remove, cgroup)

    async def kill(self, bundle: Bundle) -> None:
        """
        End all processes of a container at once; one that is not there is no error.

        @raise StillRunning: if a process of it does not end.
        """
        first = self.find_process(bundle)
        try:
            with span("kill"):
                await killing.end(self._reactor, self._cgroup_of(bundle), first)
        finally:
            if first is not None:
                first.close()

    def knows(self, vm_cid: str) -> bool:
        """
        Say whether the runtime has a state for the container, running or not.

        After a reboot of the host it has none: the state is good for one boot.
        """
        return (self._root / vm_cid).exists()

    def find_process(self, bundle: Bundle) -> FirstProcess | None:
        """Return the container's first process, or L{None} if it is not alive."""
        try:
            pid = int(bundle.pid_file.read_text("ascii"))
        except (FileNotFoundError, ValueError):
            return None
        return FirstProcess.find(self._reactor, pid, self._cgroup_of(bundle))

    def _cgroup_of(self, bundle: Bundle) -> str:
        return vm_cgroup(self._cgroup_parent, bundle.vm_cid)

    def known(self) -> list[str]:
        """Return the VMs that the runtime has a state of, or the kernel a cgroup."""
        states = runtime_state.containers(self._root)
        return sorted(states | hierarchies.children(self._cgroup_parent))

    async def execute(self, bundle: Bundle, argv: Sequence[str], timeout: float) -> Outcome:
        """
        Run a command inside a running container, to its end.

        @param timeout: seconds after which the command is killed.
        @raise CloudError: if the runtime cannot be run.
        """
        return await self._processes.run(
            [self._program, "--root", str(self._root), "exec", bundle.vm_cid, *argv],
            timeout=timeout,
            lane=Lane.IDLE,
        )

    @asynccontextmanager
    async def _with_root(
        self, argv: Sequence[str], bundle: Bundle, lower: Path | None
    ) -> AsyncIterator[Sequence[str]]:
        """
        Have a command see a container's root file system, if it needs that.

        One that does not need it sees no mounts of VMs, if that can be had at once: the
        runtime reads all that it sees.

        @return: the command line that runs the command so.
        @raise CloudError: if it cannot be mounted.
        """
        namespace: int | None
        if lower is None:
            namespace = self._views.kept()
        else:
            mounting = partial(namespace_with_root, bundle, lower, self._views)
            with span("root file system"):
                namespace = await self._guests.run(
                    bundle.vm_cid, mounting, unwanted=os.close
                )
            # Once more: what was done for it when it was announced may be too long ago.
            self.anticipate()
        if namespace is None:
            yield argv
            return
        with inside_namespace(argv, namespace) as command:
            yield command

    async def _call(
        self,
        operation: str,
        arguments: Sequence[str],
        bundle: Bundle,
        *,
        output: int | None = None,
        lower: Path | None = None,
    ) -> None:
        """
        Run an operation of the runtime.

        @param output: a descriptor for what the container writes.
        @param lower: the lower layer, for an operation that needs the root file system.
        @raise CloudError: if the operation fails.
        """
        log = bundle.runtime_log(operation)
        log.unlink(missing_ok=True)
        argv = [self._program, "--root", str(self._root)]
        argv += ["--log", str(log), "--log-format", "json", operation, *arguments]
        before = os.fstat(output).st_size if output is not None else 0
        program = os.path.basename(self._program)
        async with self._with_root(argv, bundle, lower) as command:
            with span(f"{program} {operation}"):
                outcome = await self._processes.run(
                    command, timeout=self._timeout, output=output
                )
        if not outcome.ok:
            detail = last_error(log)
            if detail is None and output is not None:
                # It died before it could log; what it said is where a VM's output goes.
                detail = last_line(bundle.console, before)
            detail = detail or outcome.complaint()
            text = f"{program} {operation}: {outcome.ending}: {detail}"
            raise failed_program(outcome, text)
