"""The life of VMs: create, reboot, delete, and what each leaves behind when it fails."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from twisted.internet.threads import deferToThread
from twisted.logger import Logger

from runc_cpi.daemon.domain import networks
from runc_cpi.daemon.domain.bundle import BOOTS, limits, runtime_spec
from runc_cpi.daemon.domain.concurrency import KeyedLock, side_by_side
from runc_cpi.daemon.domain.guest import guest_files, write_upper
from runc_cpi.daemon.domain.interfaces import (
    IAddressPool,
    IArchiver,
    INetworker,
    IRuntime,
)
from runc_cpi.daemon.domain.stemcells import Stemcell, Stemcells
from runc_cpi.daemon.domain.vm import VM, NewVM, VMProperties
from runc_cpi.daemon.storage.depot import (
    Depot,
    read_record,
    sync_directory,
    write_record,
)
from runc_cpi.errors import (
    CloudError,
    CPIError,
    InvalidArgument,
    StillRunning,
    VMCreationFailed,
    VMNotFound,
)

RECORD = "vm.json"
KILL_TIMEOUT = 10.0
GRACE = 10.0
SYSTEMD_HALT = 37  # SIGRTMIN+3, what systemd as init takes for "halt" (systemd(1))
RUNIT_HALT = ("/bin/sh", "-c", "sv -w 7 force-stop /etc/service/*")


@dataclass(frozen=True, kw_only=True)
class Host:
    """
    What the VMs of this host may have.

    @ivar capabilities: what is granted to each.
    @ivar cgroup_parent: below which path their cgroups are.
    @ivar swap_accounting: whether memory and swap can be bounded together.
    @ivar plan: their network.
    """

    capabilities: Sequence[str]
    cgroup_parent: str
    swap_accounting: bool
    plan: networks.NetworkPlan


class VMs:
    """
    All VMs of this host.

    What is done to one VM is serialized; different ones go side by side.
    """

    log = Logger()

    def __init__(
        self,
        *,
        host: Host,
        depot: Depot,
        stemcells: Stemcells,
        runtime: IRuntime,
        networker: INetworker,
        pool: IAddressPool,
        archiver: IArchiver,
    ) -> None:
        self._host, self._depot = host, depot
        self._stemcells, self._runtime = stemcells, runtime
        self._networker, self._pool, self._archiver = networker, pool, archiver
        self._locks = KeyedLock()
        self._vms: dict[str, VM] = {}
        self._unreadable: set[str] = set()

    async def load(self) -> None:
        """
        Read the records, take the addresses they name, and clear up what is no VM.

        A directory without a record is a VM whose creation was not finished or whose
        deletion was: nothing of it is to stay.
        """
        for path in sorted(self._depot.vms.iterdir()):
            if not (path / RECORD).exists():
                await self._sweep(path)
                continue
            try:
                vm = VM.from_json(read_record(path / RECORD))
                self._stemcells.hold(vm.stemcell_cid)
                for address in vm.addresses:
                    await self._pool.claim(address, vm.vm_cid)
            except (OSError, ValueError, CPIError) as error:
                self.log.error("ignored {path}: {error}", path=str(path), error=str(error))
                self._unreadable.add(path.name)
            else:
                self._vms[vm.vm_cid] = vm

    async def _sweep(self, path: Path) -> None:
        try:
            await self._take_down(path.name)
            await self._remove_directory(path)
            self.log.info("removed {vm_cid}, not a whole VM", vm_cid=path.name)
        except (CPIError, OSError) as error:
            self.log.error(
                "cannot remove {vm_cid}: {error}", vm_cid=path.name, error=str(error)
            )

    def all(self) -> list[VM]:
        """Return every VM."""
        return list(self._vms.values())

    def is_running(self, vm_cid: str) -> bool:
        """Say whether the VM's first process is alive."""
        init = self._runtime.find_init(vm_cid, self._path(vm_cid))
        if init is None:
            return False
        init.close()
        return True

    def exists(self, vm_cid: str) -> bool:
        """Say whether there is such a VM, running or not."""
        return vm_cid in self._vms

    async def create(self, new: NewVM) -> VM:
        """
        Make a VM and boot it.

        @raise InvalidArgument: if an argument is not what it must be.
        @raise StemcellNotFound: if there is no such stemcell.
        @raise AddressUnavailable: if an address asked for cannot be had.
        @raise VMCreationFailed: if the host fails; nothing is left then.
        """
        new.check()
        properties = VMProperties.parse(new.cloud_properties)
        requests = networks.parse(new.networks)
        vm_cid = f"vm-{uuid4()}"
        if properties.unknown:
            self.log.warn(
                "{vm_cid}: cloud_properties {names} mean nothing to this CPI",
                vm_cid=vm_cid,
                names=", ".join(properties.unknown),
            )
        async with self._locks(vm_cid), AsyncExitStack() as undo:
            stemcell = self._stemcells.hold(new.stemcell_cid)
            undo.callback(self._stemcells.release, stemcell.cid)
            self._init_of(stemcell, properties)
            undo.push_async_callback(self._quietly, self._pool.release, vm_cid)
            addresses = await networks.assign(requests, vm_cid, self._pool)
            vm = VM(
                vm_cid=vm_cid,
                agent_id=new.agent_id,
                stemcell_cid=stemcell.cid,
                cloud_properties=new.cloud_properties,
                networks=networks.complete(requests, addresses, self._host.plan),
                addresses=tuple(addresses.values()),
                env=new.env,
                agent=new.agent,
                created_at=datetime.now(UTC).isoformat(timespec="seconds"),
            )
            path = self._path(vm_cid)
            undo.push_async_callback(self._quietly, self._remove_directory, path)
            try:
                await deferToThread(self._furnish, vm, stemcell)
                undo.push_async_callback(self._quietly, self._take_down, vm_cid)
                await self._boot(vm, stemcell)
                await deferToThread(write_record, path / RECORD, vm.to_json())
            except CloudError as error:
                if type(error) is CloudError:
                    raise VMCreationFailed(str(error)) from error
                raise
            self._vms[vm_cid] = vm
            undo.pop_all()
        self.log.info(
            "created {vm_cid} at {address} from {stemcell_cid}",
            vm_cid=vm_cid,
            address=str(vm.addresses[0]),
            stemcell_cid=stemcell.cid,
        )
        return vm

    async def delete(self, vm_cid: str) -> None:
        """
        Stop a VM and remove all of it; an unknown one is no error.

        @raise CloudError: if it cannot be confirmed that the VM is gone.
        """
        async with self._locks(vm_cid):
            if vm_cid in self._unreadable:
                raise CloudError(f"the record of {vm_cid} cannot be read; see the log")
            if vm_cid not in self._vms:
                return
            path = self._path(vm_cid)
            await deferToThread(_forget, path)
            await self._take_down(vm_cid)
            vm = self._vms.pop(vm_cid)
            self._stemcells.release(vm.stemcell_cid)
            await self._pool.release(vm_cid)
            await self._quietly(self._remove_directory, path)
        self.log.info("deleted {vm_cid}", vm_cid=vm_cid)

    async def reboot(self, vm_cid: str) -> None:
        """
        Stop a VM, asking it first, and boot it again on the same file system.

        @raise VMNotFound: if there is no such VM.
        @raise CloudError: if it does not stop, or does not start.
        """
        async with self._locks(vm_cid):
            vm = self._get(vm_cid)
            stemcell = self._stemcells.hold(vm.stemcell_cid)
            try:
                await self._ask_to_halt(vm, stemcell)
                await self._take_down(vm_cid)
                await deferToThread(self._clear_runtime_data, vm_cid)
                await self._boot(vm, stemcell)
            finally:
                self._stemcells.release(stemcell.cid)
        self.log.info("rebooted {vm_cid}", vm_cid=vm_cid)

    async def set_metadata(self, vm_cid: str, metadata: Any) -> None:
        """
        Replace what is noted about a VM.

        @raise VMNotFound: if there is no such VM.
        @raise InvalidArgument: if C{metadata} is no object.
        """
        if not isinstance(metadata, dict):
            raise InvalidArgument("metadata: must be an object")
        async with self._locks(vm_cid):
            vm = replace(self._get(vm_cid), metadata=metadata)
            record = self._path(vm_cid) / RECORD
            await deferToThread(write_record, record, vm.to_json())
            self._vms[vm_cid] = vm

    def _get(self, vm_cid: str) -> VM:
        try:
            return self._vms[vm_cid]
        except KeyError:
            raise VMNotFound(f"there is no VM {vm_cid!r}") from None

    def _path(self, vm_cid: str) -> Path:
        return self._depot.vms / vm_cid

    @staticmethod
    def _init_of(stemcell: Stemcell, properties: VMProperties) -> str:
        init = properties.init or stemcell.features.init
        if init is None:
            raise InvalidArgument(
                f"{stemcell.cid} has neither runit nor systemd that could boot it; "
                "cloud_properties.init could name one"
            )
        return init

    def _furnish(self, vm: VM, stemcell: Stemcell) -> None:
        """Make the directory of a new VM and the files it boots with."""
        path = self._path(vm.vm_cid)
        path.mkdir(mode=0o700)
        for name in ("rootfs", "work"):
            (path / name).mkdir(mode=0o700)
        for name in ("upper", "data"):
            # These show in the VM, as "/" and "/var/vcap/data".
            (path / name).mkdir()
            (path / name).chmod(0o755)
        files = guest_files(
            hostname=vm.vm_cid,
            address=vm.addresses[0],
            dns=networks.name_servers(vm.networks),
            settings=vm.settings(),
            features=stemcell.features,
        )
        write_upper(files, stemcell.rootfs, path / "upper")

    def _write_bundle(self, vm: VM, stemcell: Stemcell) -> None:
        path = self._path(vm.vm_cid)
        properties = VMProperties.parse(vm.cloud_properties)
        spec = runtime_spec(
            hostname=vm.vm_cid,
            boot=BOOTS[self._init_of(stemcell, properties)],
            lower=str(stemcell.rootfs),
            upper=str(path / "upper"),
            work=str(path / "work"),
            binds={"/var/vcap/data": str(path / "data")},
            cgroup=f"{self._host.cgroup_parent}/{vm.vm_cid}",
            capabilities=self._host.capabilities,
            resources=limits(
                cpu=properties.cpu,
                ram=properties.ram,
                swap_accounting=self._host.swap_accounting,
            ),
        )
        (path / "config.json").write_text(json.dumps(spec), "utf-8")

    async def _boot(self, vm: VM, stemcell: Stemcell) -> None:
        path = self._path(vm.vm_cid)
        await deferToThread(self._write_bundle, vm, stemcell)
        pid = await self._runtime.create(vm.vm_cid, path)
        # The container's process waits to be started: its network comes first.
        await self._networker.connect(vm.vm_cid, pid, vm.addresses)
        await self._runtime.start(vm.vm_cid, path)

    async def _ask_to_halt(self, vm: VM, stemcell: Stemcell) -> None:
        """Let the VM's services end, for a bounded time; what stays is killed later."""
        path = self._path(vm.vm_cid)
        init = self._runtime.find_init(vm.vm_cid, path)
        if init is None:
            return
        try:
            properties = VMProperties.parse(vm.cloud_properties)
            if self._init_of(stemcell, properties) == "systemd":
                init.send(SYSTEMD_HALT)
                await init.ended_within(GRACE)
            else:
                await self._runtime.execute(vm.vm_cid, path, RUNIT_HALT, GRACE)
        finally:
            init.close()

    async def _take_down(self, vm_cid: str) -> None:
        """
        End a container at once and remove it and its interface, whatever there is.

        @raise StillRunning: if its first process does not end.
        """
        path = self._path(vm_cid)
        init = self._runtime.find_init(vm_cid, path)
        if init is not None:
            try:
                init.send(signal.SIGKILL)
                if not await init.ended_within(KILL_TIMEOUT):
                    raise StillRunning(
                        f"process {init.pid} of {vm_cid} did not end within "
                        f"{KILL_TIMEOUT:.0f} s of SIGKILL: it hangs in the kernel"
                    )
            finally:
                init.close()
        await side_by_side(
            self._runtime.delete(vm_cid, path), self._networker.disconnect(vm_cid)
        )

    def _clear_runtime_data(self, vm_cid: str) -> None:
        # What a real machine would have in a tmpfs: pid files and sockets of the dead.
        stale = self._path(vm_cid) / "data" / "sys"
        if stale.is_symlink() or not stale.is_dir():
            stale.unlink(missing_ok=True)
        else:
            shutil.rmtree(stale)

    async def _remove_directory(self, path: Path) -> None:
        if path.exists():
            trash = await deferToThread(self._depot.set_aside, path)
            await self._archiver.remove(trash)

    async def _quietly(self, undo: Callable[..., Awaitable[None]], *args: Any) -> None:
        """Clean up; a failure is logged, and never hides the first error."""
        try:
            await undo(*args)
        except Exception:
            self.log.failure("could not clean up after a VM")


def _forget(path: Path) -> None:
    (path / RECORD).unlink(missing_ok=True)
    sync_directory(path)
