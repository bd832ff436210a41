"""The C{twistd} service: it puts all parts together, and is alone in knowing them."""

from __future__ import annotations

import os
import signal
import socket
import stat
import sys
import time
from hashlib import sha256
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from twisted.application.internet import TimerService
from twisted.application.service import MultiService
from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.logger import ILogObserver, Logger
from twisted.python import usage
from twisted.python.components import Componentized
from twisted.python.logfile import LogFile

from runc_cpi.daemon.base import log
from runc_cpi.daemon.config import (
    ConfigError,
    DaemonConfig,
    TCPAddress,
    UnixAddress,
    load,
)
from runc_cpi.daemon.disks.disks import DiskPolicy, Disks
from runc_cpi.daemon.disks.interfaces import IDiskDriver
from runc_cpi.daemon.disks.snapshots import Snapshots
from runc_cpi.daemon.entrance.access import LOOPBACK, Access
from runc_cpi.daemon.entrance.admission import CallerCheck, SourceFilter
from runc_cpi.daemon.entrance.encryption import EncryptedFactory
from runc_cpi.daemon.entrance.handshakes import HandshakeQueue
from runc_cpi.daemon.entrance.identity import Identity, IdentityReloader
from runc_cpi.daemon.entrance.peer_log import PeerLog
from runc_cpi.daemon.host import checks, kernel_limits, systemd
from runc_cpi.daemon.host.cgroups import hierarchies
from runc_cpi.daemon.host.cgroups.devices import DeviceRules, device_rules
from runc_cpi.daemon.host.disks.directory_disks import DirectoryDisks
from runc_cpi.daemon.host.disks.image_disks import ImageDisks
from runc_cpi.daemon.host.disks.loop import LoopDevices
from runc_cpi.daemon.host.guests.guests import Guests
from runc_cpi.daemon.host.images.archive import Archiver
from runc_cpi.daemon.host.images.oci_images import OCIImages
from runc_cpi.daemon.host.network.bridge import Bridge, BridgeNetworker, BridgeUnusable
from runc_cpi.daemon.host.network.sockets import KernelSockets
from runc_cpi.daemon.host.oci.console import ConsoleTrimmer
from runc_cpi.daemon.host.oci.runtime import Runtime
from runc_cpi.daemon.host.oci.trial import try_runtime
from runc_cpi.daemon.host.processes import Processes
from runc_cpi.daemon.listening import PacedPort
from runc_cpi.daemon.networks.address_pool import AddressPool
from runc_cpi.daemon.networks.requests import NetworkPlan
from runc_cpi.daemon.reconcile.reconciler import Reconciler
from runc_cpi.daemon.rpc.domain import Domain
from runc_cpi.daemon.rpc.factory import CPIFactory
from runc_cpi.daemon.stemcells.stemcells import Stemcells
from runc_cpi.daemon.storage.depot import Depot
from runc_cpi.daemon.storage.scratch import Scratch
from runc_cpi.daemon.vms.containers import ContainerPolicy, Containers
from runc_cpi.daemon.vms.registry import Registry
from runc_cpi.daemon.vms.spec import DROPPED_CAPABILITIES
from runc_cpi.daemon.vms.vms import VMs
from runc_cpi.daemon.vms.watcher import Watcher

BACKGROUND_LOG = "twistd.log"
# For calls to be undone that were broken off as the daemon stops.
UNDO_SECONDS = 10.0
ROOM_INTERVAL = 300.0
# Who connects while this many wait is delayed by a second or more (tcp(7)).
BACKLOG = 1024


class Options(usage.Options):
    """The plugin's own options; all else is in the configuration file."""

    synopsis = "--config FILE"
    longdesc = "Run BOSH VMs as runc containers on this host."
    optParameters = [["config", "c", None, "the YAML configuration file"]]
    config: DaemonConfig

    def postOptions(self) -> None:
        """Read the configuration; what is wrong with it ends the program."""
        if self["config"] is None:
            _refuse("--config: missing; give the path of a YAML file")
        try:
            # Before twistd tries to write its pid file.
            checks.check_root()
            self.config = load(Path(self["config"]))
        except (checks.HostUnfit, ConfigError) as error:
            _refuse(str(error))


def _refuse(reason: str) -> Any:
    """End the program with one line on stderr and status 1."""
    sys.exit(f"runc-cpid: {reason}")


class Refused(Exception):
    """The daemon cannot start; the message says what to change."""


class Daemon(MultiService):
    """
    The daemon.

    What can be wrong with the host or the configuration is found before the reactor
    runs, and ends the program with one line that says what to change.
    """

    log = Logger()

    def __init__(self, reactor: Any, config: DaemonConfig, twistd: Any) -> None:
        super().__init__()
        self._reactor, self._config, self._twistd = reactor, config, twistd
        self._depot = Depot(config.work_dir)
        self._port: Any = None
        self._networker: BridgeNetworker | None = None
        self._identity: Identity | None = None

    def setServiceParent(self, parent: Any) -> None:
        """Have C{twistd} log as configured, unless its own options say otherwise."""
        super().setServiceParent(parent)
        if isinstance(parent, Componentized) and not self._twistd.get("syslog"):
            name = self._twistd.get("logfile")
            if not name and not self._twistd.get("nodaemon"):
                name = BACKGROUND_LOG  # as twistd does: stdout leads nowhere then
            stream = LogFile.fromFullPath(name) if name and name != "-" else sys.stdout
            observer = log.observer(stream, self._config.log_format)
            parent.setComponent(ILogObserver, observer)

    def privilegedStartService(self) -> None:
        """
        Check the host, and take hold of all that only one daemon can have.

        @raise Refused: in the background, where twistd tells its first process of it.
        """
        try:
            self._take_hold()
        except Refused as refused:
            self._depot.release()
            if self._twistd.get("statusPipe") is not None:
                raise
            # twistd logs what goes to sys.stderr, and leaves its pid file behind.
            print(f"runc-cpid: {refused}", file=sys.__stderr__)
            if self._twistd.get("pidfile"):
                Path(self._twistd["pidfile"]).unlink(missing_ok=True)
            sys.exit(1)
        super().privilegedStartService()

    def _take_hold(self) -> None:
        config = self._config
        # Modes are given where files are made; twistd's own umask would cut those of VMs.
        os.umask(0o022)
        checks.raise_open_files()
        try:
            checks.check_programs()
            if config.disks.driver == "image":
                checks.check_loop_devices(config.disks.filesystem)
            runtime = checks.find_runtime(config.runtime)
            self._prepare_work_dir()
            cgroup_parent = _cgroup_parent(config.work_dir)
            dropped = frozenset() if config.security.privileged else DROPPED_CAPABILITIES
            capabilities = checks.grantable(dropped)
            try_runtime(runtime, self._depot, cgroup_parent, capabilities, self._pids())
            if self._pids() is None:
                self.log.warn("this kernel cannot bound how many processes a VM has")
            bridge = Bridge(
                config.bridge, config.interface, guarded=config.security.anti_spoofing
            )
            bridge.ensure()
            self._assemble(runtime, cgroup_parent, capabilities, bridge)
        except BridgeUnusable as error:
            raise Refused(f"bridge: {error}") from None
        except (checks.HostUnfit, ConfigError) as error:
            raise Refused(str(error)) from None

    def _prepare_work_dir(self) -> None:
        work_dir = self._config.work_dir
        try:
            self._depot.prepare()
        except BlockingIOError:
            raise Refused(f"work_dir: {work_dir}: another runc-cpid uses it") from None
        except TimeoutError as error:
            reason = f"what another runc-cpid started is still at work: {error}"
            raise Refused(f"work_dir: {work_dir}: {reason}") from None
        except OSError as error:
            reason = f"{error.strerror}; it must be writable"
            raise Refused(f"work_dir: {work_dir}: {reason}") from None

    def _assemble(
        self,
        runtime: str,
        cgroup_parent: str,
        capabilities: list[str],
        bridge: Bridge,
    ) -> None:
        config, reactor = self._config, self._reactor
        limit = max(2, os.cpu_count() or 1)
        processes = Processes(reactor, limit, self._depot.mark)
        self._processes = processes
        archiver = Archiver(processes)
        scratch = Scratch(self._depot, archiver)
        stemcells = Stemcells(self._depot, archiver, OCIImages(processes), scratch)
        pool = AddressPool(config.network, config.gateway)
        registry = Registry(self._depot, stemcells, pool)
        watcher = Watcher()
        self._networker = BridgeNetworker(reactor, bridge)
        self._guests = Guests(reactor, config.visit_timeout)
        rules = device_rules()
        driver = self._disk_driver(processes, rules)
        disks = Disks(
            depot=self._depot,
            scratch=scratch,
            driver=driver,
            policy=DiskPolicy(
                filesystem=config.disks.filesystem, overcommit=config.disks.overcommit
            ),
        )
        snapshots = Snapshots(
            depot=self._depot,
            trees=archiver,
            scratch=scratch,
            driver=driver,
            disks=disks,
        )
        containers = Containers(
            policy=ContainerPolicy(
                capabilities=capabilities,
                all_capabilities=checks.grantable(frozenset()),
                cgroup_parent=cgroup_parent,
                pids=self._pids(),
                open_files=checks.open_files(),
                swap_accounting=checks.swap_accounting(),
                privileged=config.security.privileged,
            ),
            depot=self._depot,
            runtime=Runtime(
                reactor,
                processes,
                runtime,
                self._depot.runtime,
                cgroup_parent,
                rules,
                timeout=config.runtime_timeout,
            ),
            networker=self._networker,
            guests=self._guests,
            disks=disks,
            watcher=watcher,
        )
        vms = VMs(
            registry=registry,
            stemcells=stemcells,
            containers=containers,
            disks=disks,
            pool=pool,
            plan=NetworkPlan(
                network=config.network, gateway=config.gateway, dns=checks.name_servers()
            ),
            scratch=scratch,
        )
        reconciler = Reconciler(
            reactor=reactor,
            registry=registry,
            stemcells=stemcells,
            containers=containers,
            disks=disks,
            snapshots=snapshots,
            vms=vms,
            scratch=scratch,
            watcher=watcher,
            restart=config.restart,
        )
        ConsoleTrimmer(reactor, self._depot.vms).setServiceParent(self)
        watch = TimerService(ROOM_INTERVAL, disks.room.watch)
        watch.clock = reactor
        watch.setServiceParent(self)
        systemd.Watchdog(reactor).setServiceParent(self)
        self._domain = Domain(
            stemcells=stemcells,
            vms=vms,
            disks=disks,
            snapshots=snapshots,
            reconciler=reconciler,
        )
        self._peer_log = PeerLog(reactor.seconds)
        self._factory = CPIFactory(self._domain, config.limits, self._peer_log, reactor)
        self._listen(self._entrance(config.address))

    def _pids(self) -> int | None:
        return self._config.vms.pids if checks.pids_accounting() else None

    def _disk_driver(self, processes: Processes, rules: DeviceRules) -> IDiskDriver:
        disks = self._config.disks
        if disks.driver == "directory":
            return DirectoryDisks(processes, self._guests)
        return ImageDisks(
            processes,
            LoopDevices(self._reactor, processes, direct_io=disks.direct_io),
            rules,
            self._guests,
            full=disks.allocation == "full",
            filesystem=disks.filesystem,
        )

    def _entrance(self, address: TCPAddress | UnixAddress) -> Any:
        """Make what connections come to; those of a socket file may all come in."""
        config, reactor, peer_log = self._config, self._reactor, self._peer_log
        if isinstance(address, UnixAddress):
            return self._factory
        if config.tls is None:
            self._warn_of_plain(address)
            access = Access(
                networks=config.allow_from or (),
                users=config.allow_users,
                sockets=KernelSockets(),
                vm_at=self._domain.vms.at,
            )
            return CallerCheck(self._factory, access, peer_log, reactor)
        self._identity = Identity(config.tls, peer_log)
        IdentityReloader(reactor, self._identity).setServiceParent(self)
        encrypted = EncryptedFactory(
            self._identity, isClient=False, wrappedFactory=self._factory, clock=reactor
        )
        queue = HandshakeQueue(encrypted, config.limits, peer_log, reactor)
        if config.allow_from is None:
            return queue
        return SourceFilter(
            queue, [*LOOPBACK, config.network, *config.allow_from], peer_log
        )

    def _warn_of_plain(self, address: TCPAddress) -> None:
        if not ip_address(address.host).is_loopback:
            self.log.warn(
                "address: VMs and other machines can reach {address}, where what is said "
                "is not encrypted, and callers are known by their addresses alone: set tls",
                address=str(address),
            )

    def _listen(self, factory: Any) -> None:
        address = self._config.address
        try:
            self._port = self._listening(address, factory)
        except CannotListenError as error:
            cause: Any = error.socketError
            raise Refused(f"address: {address}: {cause.strerror}") from None
        except OSError as error:
            raise Refused(f"address: {address}: {error.strerror}") from None
        # Who connects now waits in the kernel's queue until all is ready.
        self._port.stopReading()
        if isinstance(address, UnixAddress) and self._config.socket_group is not None:
            os.chown(address.path, 0, self._config.socket_group)

    def _listening(self, address: TCPAddress | UnixAddress, factory: Any) -> Any:
        if isinstance(address, UnixAddress):
            _clear_socket(address.path)
            mode = self._config.socket_mode
            return self._reactor.listenUNIX(
                address.path, factory, backlog=BACKLOG, mode=mode, wantPID=False
            )
        port = PacedPort(address.port, factory, BACKLOG, address.host, self._reactor)
        port.startListening()
        return port

    def startService(self) -> None:
        """Bring order into what is there, and then take calls."""
        super().startService()
        assert self._networker is not None
        self._networker.start()
        signal.signal(signal.SIGHUP, self._hang_up)
        starting = Deferred.fromCoroutine(self._start())
        starting.addErrback(self._failed)

    async def _start(self) -> None:
        stemcells, vms = self._domain.stemcells, self._domain.vms
        reconciler = self._domain.reconciler
        repairs = await reconciler.load()
        self._domain.disks.room.watch()
        if low := kernel_limits.low():
            self.log.warn(
                "too low for many VMs: {limits}; operations/raise-limits raises them",
                limits=", ".join(low),
            )
        self._port.startReading()
        systemd.tell(systemd.READY)
        returning = Deferred.fromCoroutine(reconciler.bring_back(repairs))
        returning.addErrback(lambda failure: self.log.failure("bug bringing back", failure))
        reconciler.keep_clearing(self._config.repair_interval)
        self.log.info(
            "serving at {address} with {stemcells} stemcells and {vms} VMs",
            address=str(self._config.address),
            stemcells=len(stemcells.all()),
            vms=len(vms.all()),
        )

    def _hang_up(self, number: int, frame: object) -> None:
        if self._identity is not None:
            self._reactor.callFromThread(self._identity.reload)

    def _failed(self, failure: Any) -> None:
        self.log.failure("cannot start", failure)
        # twistd has no other way to end with a status when the reactor runs already.
        self._reactor.addSystemEventTrigger("after", "shutdown", os._exit, 1)
        self._reactor.stop()

    async def _stop(self) -> None:
        systemd.tell(systemd.STOPPING)
        if self._port is not None:
            await self._port.stopListening()
            await self._finish_calls()
            self._domain.reconciler.close()
        await super().stopService()
        if self._networker is not None:
            self._networker.stop()
        hierarchies.remove_empty(_cgroup_parent(self._config.work_dir))
        self._depot.release()

    async def _finish_calls(self) -> None:
        """Answer the calls that are under way; those that take too long fail."""
        if not await self._factory.drain(self._config.limits.finish_seconds):
            self.log.warn("calls take too long to wait for: they are broken off")
            self._processes.end_all()
            self._guests.close()
            await self._factory.drain(UNDO_SECONDS)

    def stopService(self) -> Deferred[None]:
        """Take no more calls, and let go of everything.  VMs keep running."""
        return Deferred.fromCoroutine(self._stop())


def _clear_socket(path: str) -> None:
    """Remove a socket that nobody listens at, and make its directory."""
    os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            raise Refused(f"address: {path}: is there, and no socket")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
            return
        except BlockingIOError:
            pass  # its queue is full, so somebody listens
    raise Refused(f"address: {path}: another program listens there")


def _cgroup_parent(work_dir: Path) -> str:
    """Name where the cgroups of this daemon are; two daemons on one host differ."""
    return f"/runc-cpid-{sha256(str(work_dir).encode()).hexdigest()[:8]}"


def makeService(options: Options, reactor: Any = None) -> Daemon:
    """Make the service that C{twistd} runs."""
    if reactor is None:
        from twisted.internet import reactor
    # Twisted goes by the time of day: when that is set, timers would fire or hang.
    reactor.seconds = time.monotonic
    return Daemon(reactor, options.config, options.parent or {})
