"""The daemon's life: it checks the host, reconciles, serves, and stops."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping
from typing import Any

from twisted.application.internet import TimerService
from twisted.application.service import MultiService
from twisted.internet.defer import CancelledError, Deferred, gatherResults, maybeDeferred
from twisted.logger import Logger, globalLogPublisher

from runc_cpi.daemon import preflight, twistd
from runc_cpi.daemon.amp_port import AMPPort
from runc_cpi.daemon.assembly import Assembly, Policy, assemble
from runc_cpi.daemon.base.units import MEBIBYTE
from runc_cpi.daemon.config import ConfigError, DaemonConfig
from runc_cpi.daemon.disks.disks import DiskPolicy
from runc_cpi.daemon.doctor.rounds import Rounds
from runc_cpi.daemon.events.history import HistoryPolicy
from runc_cpi.daemon.host import resource_limits, systemd
from runc_cpi.daemon.linux_host import LinuxHost
from runc_cpi.daemon.listening import AddressUnusable, Port
from runc_cpi.daemon.networks.vips import VipPolicy
from runc_cpi.daemon.preflight import Refused
from runc_cpi.daemon.storage.depot import Depot

# For work to be undone that was broken off as the daemon stops.
UNDO_SECONDS = 10.0
# For what was deleted to be removed; the next start does the rest.
REMOVAL_SECONDS = 2.0
ROOM_INTERVAL = 300.0  # seconds
# The reactor waits for so long each time when a thread computes; Python's own is 5 ms.
SWITCH_INTERVAL = 0.0002  # seconds


class Daemon(MultiService):
    """
    The service that twistd runs.

    What can be wrong with the host or the configuration is found before the reactor
    runs, and ends the program with one line that says what to change.

    @param options: twistd's own.
    """

    log = Logger()

    def __init__(
        self, reactor: Any, config: DaemonConfig, options: Mapping[str, Any]
    ) -> None:
        super().__init__()
        self._reactor, self._config, self._options = reactor, config, options
        self._depot = Depot(config.work_dir)
        self._ports: list[Port] = []
        self._rounds = Rounds(reactor, config)
        self._host: LinuxHost
        self._parts: Assembly

    def setServiceParent(self, parent: Any) -> None:
        """Have twistd log as configured."""
        super().setServiceParent(parent)
        twistd.set_log(parent, self._options, self._config.log_format)

    def privilegedStartService(self) -> None:
        """
        Check the host, and take hold of all that only one daemon can have.

        @raise Refused: in the background, where twistd tells its first process of it.
        """
        try:
            self._take_hold()
        except Refused as error:
            self._depot.release()
            twistd.refuse(error, self._options)

    def _take_hold(self) -> None:
        # Modes are given where files are made; twistd's own umask would cut those of VMs.
        os.umask(0o022)
        resource_limits.raise_open_files()
        sys.setswitchinterval(SWITCH_INTERVAL)
        systemd.take_back()
        found = preflight.take_hold(self._config, self._depot)
        systemd.keep(found.shared_mounts.descriptors)
        self._host = LinuxHost(
            self._reactor,
            self._config,
            self._depot,
            found.bridges,
            found.shared_mounts,
            found.peering,
            runtime=found.runtime,
            cgroup_parent=found.containers.cgroup_parent,
        )
        policy = self._policy(found)
        self._parts = assemble(self._reactor, self._depot, self._host.parts, policy)
        try:
            self._ports = self._make_ports()
            self._add_services()
            super().privilegedStartService()
        except (ConfigError, AddressUnusable) as error:
            raise Refused(str(error)) from None

    def _policy(self, found: preflight.Found) -> Policy:
        config = self._config
        return Policy(
            containers=found.containers,
            disks=DiskPolicy(
                filesystem=config.disks.filesystem, overcommit=config.disks.overcommit
            ),
            subnets=found.subnets,
            allowed_networks=config.allowed_networks,
            nat=config.nat,
            vips=VipPolicy(allowed=config.vip_addresses, taken=config.address.ip),
            peering=found.peering,
            restart=config.restart,
            history=HistoryPolicy(
                size=config.events.size * MEBIBYTE,
                followers=config.limits.followers,
                spans=config.log_spans,
            ),
        )

    def _make_ports(self) -> list[Port]:
        """Make a service for each port that the daemon listens at."""
        ports: list[Port] = [AMPPort(self._reactor, self._config, self._parts.subjects)]
        if self._config.http is not None:
            # What serves HTTP takes long to import.
            from runc_cpi.daemon.http_port import HTTPPort

            ports.append(
                HTTPPort(
                    self._reactor,
                    self._config,
                    self._parts,
                    self._host.programs_waiting,
                    self._rounds,
                )
            )
        return ports

    def _add_services(self) -> None:
        room = TimerService(ROOM_INTERVAL, self._parts.disks.room.watch)
        names = TimerService(self._config.repair_interval, self._host.parts.names.retry)
        for timer in (room, names):
            timer.clock = self._reactor
        for service in (
            self._host.console_trimmer,
            room,
            names,
            systemd.Watchdog(self._reactor),
            *self._ports,
        ):
            service.setServiceParent(self)

    def startService(self) -> None:
        """Make the host agree with the records, and then take calls."""
        super().startService()
        self._host.start()
        signal.signal(signal.SIGHUP, self._hang_up)
        self._parts.tasks.start("the start", self._start(), awaited=False)

    def _hang_up(self, number: int, frame: object) -> None:
        for port in self._ports:
            self._reactor.callFromThread(port.reload)

    async def _start(self) -> None:
        try:
            await self._serve()
        except CancelledError:
            raise  # it was stopped before it served
        except Exception:
            self.log.failure("cannot start")
            # twistd has no other way to end with a status when the reactor runs already.
            self._reactor.addSystemEventTrigger("after", "shutdown", os._exit, 1)
            self._reactor.stop()

    async def _serve(self) -> None:
        parts = self._parts
        await parts.history.journal.open()
        globalLogPublisher.addObserver(parts.history.logged)
        repairs = await parts.reconciler.load()
        await parts.disks.room.watch()
        await parts.containers.boots.look_for_lxcfs()
        await self._rounds.begin()
        for port in self._ports:
            port.serve()
        systemd.tell(systemd.READY)
        returning = parts.reconciler.bring_back(repairs)
        parts.tasks.start("bringing back VMs", returning, awaited=False)
        looking = self._rounds.go_on()
        parts.tasks.start("looking at the host", looking, awaited=False)
        parts.leftovers.keep_clearing(self._config.repair_interval)
        self.log.info(
            "serving at {address} with {stemcells} stemcells and {vms} VMs",
            address=str(self._config.address),
            stemcells=len(parts.stemcells.all()),
            vms=len(parts.vms.all()),
            happened="started",
        )

    def stopService(self) -> Deferred[None]:
        """Take no more calls, finish what is under way, and let go of everything."""
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        systemd.tell(systemd.STOPPING)
        for port in self._ports:
            await maybeDeferred(self.removeService, port)
        if not await self._finish(self._config.limits.finish_seconds):
            self.log.warn("what is under way takes too long to wait for, and is broken off")
            self._parts.tasks.cancel()
            self._host.break_off()
            await self._finish(UNDO_SECONDS)
        if not await self._parts.reaper.drain(REMOVAL_SECONDS):
            self.log.info("left to the next start: removing what was deleted")
        self._parts.tasks.cancel()
        self._parts.watcher.close()
        self._parts.oom_kills.close()
        await super().stopService()
        await self._host.parts.names.stop()
        self._host.stop()
        globalLogPublisher.removeObserver(self._parts.history.logged)
        await self._parts.history.journal.close()
        self._depot.release()

    async def _finish(self, seconds: float) -> bool:
        """
        Wait for calls, and for work in the background.

        @return: whether all of it has ended.
        """
        tasks, end = self._parts.tasks, self._reactor.seconds() + seconds
        waits = [tasks.wait(seconds), *(port.finish(seconds) for port in self._ports)]
        ended = await gatherResults([Deferred.fromCoroutine(wait) for wait in waits])
        # The last calls may have left something to be done.
        return all(ended) and await tasks.wait(max(0.0, end - self._reactor.seconds()))
