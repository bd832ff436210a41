"""The daemon as a service of this host: of systemd, or a process of its own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from abc import ABC, abstractmethod
from pathlib import Path

import click

from runc_cpi.ctl.director import project
from runc_cpi.ctl.director.daemon_files import MARK
from runc_cpi.ctl.director.directory import StateDirectory, write_whole
from runc_cpi.ctl.director.running import (
    CommandFailed,
    Runner,
    lines_that_matter,
    passed,
)

NAME = "runc-cpid"
UNIT = f"{NAME}.service"
UNITS = Path("/etc/systemd/system")
# Where operations/install puts the unit, which has this configuration.
INSTALLED = Path("/usr/local/lib/systemd/system") / UNIT
INSTALLED_CONFIG = Path("/etc/runc-cpid/config.yml")
# systemd is this host's if it has this directory (sd_booted(3)).
BOOTED = Path("/run/systemd/system")
STOP_TIMEOUT = 60.0
INTERVAL = 0.1


class Service(ABC):
    """The daemon as a service."""

    @abstractmethod
    def start(self) -> None:
        """Start it, also after a reboot if that can be had."""

    @abstractmethod
    def restart(self) -> None:
        """Start it with its new configuration."""

    @abstractmethod
    def stop(self) -> None:
        """Stop it.  Its VMs go on."""

    @abstractmethod
    def remove(self) -> None:
        """Stop it for good, and remove what L{start} has made."""

    @abstractmethod
    def is_running(self) -> bool:
        """Whether it runs."""

    @abstractmethod
    def is_current(self) -> bool:
        """Whether what runs was started as it would be started now."""

    @abstractmethod
    def last_lines(self) -> list[str]:
        """Return the last that it logged."""


def choose(
    systemd: bool | None, config: Path, directory: StateDirectory, runner: Runner
) -> Service:
    """
    Return how the daemon is run on this host.

    @param systemd: whether by systemd, or L{None} if it is so where it can.
    @param config: the daemon's configuration.
    """
    if systemd is None:
        systemd = BOOTED.is_dir()
    if not systemd:
        return ProcessService(config, directory)
    if shutil.which("systemctl") is None:
        raise click.ClickException("--systemd: this host has no systemctl")
    return SystemdService(config, runner)


class SystemdService(Service):
    """
    The daemon as a unit of systemd.

    @param config: the daemon's configuration.
    """

    def __init__(self, config: Path, runner: Runner) -> None:
        self._config, self._runner = config, runner
        self._unit = UNITS / UNIT

    def start(self) -> None:
        """Start it now, and at each boot."""
        self._install()
        if not (self._is("enabled") and self._is("active")):
            self._begin("enable", "--now")

    def restart(self) -> None:
        """Start it with its new configuration, also at each boot."""
        self._install()
        if not self._is("enabled"):
            self._systemctl("enable", UNIT)
        self._begin("restart")

    def stop(self) -> None:
        """Stop it."""
        self._systemctl("stop", UNIT)

    def remove(self) -> None:
        """Stop it for good; the unit of an installation stays."""
        if self._is_there():
            self._systemctl("disable", "--now", UNIT)
        if self._is_ours():
            self._unit.unlink()
            self._systemctl("daemon-reload")

    def is_running(self) -> bool:
        """Whether systemd says so."""
        return self._is("active")

    def is_current(self) -> bool:
        """Whether the unit is as it would be written; operations/install restarts it."""
        return not self._is_ours() or self._unit.read_text("utf-8") == self._text()

    def _is(self, state: str) -> bool:
        argv = ["systemctl", f"is-{state}", "--quiet", UNIT]
        return subprocess.run(argv, env=passed(), check=False).returncode == 0

    def last_lines(self) -> list[str]:
        """Return the end of its journal."""
        argv = ["journalctl", "--unit", UNIT, "--lines", "100", "--no-pager"]
        argv += ["--output", "cat"]
        told = subprocess.run(argv, env=passed(), capture_output=True, check=False)
        return lines_that_matter(told.stdout.decode("utf-8", "backslashreplace"))

    def _is_there(self) -> bool:
        return self._unit.exists() or INSTALLED.exists()

    def _is_ours(self) -> bool:
        return self._unit.exists() and self._unit.read_text("utf-8").startswith(MARK)

    def _install(self) -> None:
        """Write a unit, unless one is installed that fits."""
        if self._unit.exists() and not self._is_ours():
            return
        if INSTALLED.exists() and self._config == INSTALLED_CONFIG:
            return
        text = self._text()
        if not self._unit.exists() or self._unit.read_text("utf-8") != text:
            write_whole(self._unit, text, 0o644)
            self._systemctl("daemon-reload")

    def _text(self) -> str:
        template = project.operations() / "systemd" / UNIT
        return MARK + _unit(template.read_text("utf-8"), self._config)

    def _begin(self, *arguments: str) -> None:
        """Have systemd start it; a failure tells what it logged."""
        # After some failures systemd would refuse to try once more.
        argv = ["systemctl", "reset-failed", UNIT]
        subprocess.run(argv, env=passed(), capture_output=True, check=False)
        try:
            self._systemctl(*arguments, UNIT)
        except CommandFailed as error:
            lines = [*error.lines, *self.last_lines()]
            raise CommandFailed(error.message, lines) from None

    def _systemctl(self, *arguments: str) -> None:
        self._runner.run("systemctl", ["systemctl", *arguments])


def _unit(template: str, config: Path) -> str:
    """Return the unit that starts the daemon of this installation."""
    program = project.program(NAME)
    for path in (program, config):
        if any(c in str(path) for c in " \t\"'\\%$"):
            raise click.ClickException(f"{path}: systemd cannot start what is there")
    return "".join(
        f"ExecStart={program} --config {config}\n"
        if line.startswith("ExecStart=")
        else line
        for line in template.splitlines(keepends=True)
    )


class ProcessService(Service):
    """
    The daemon as a process in the background, which nobody starts after a reboot.

    @param config: the daemon's configuration.
    """

    def __init__(self, config: Path, directory: StateDirectory) -> None:
        self._config = config
        self._pid_file, self._log = directory.daemon_pid, directory.daemon_log

    def start(self) -> None:
        """Start it, unless it runs."""
        if self.is_running():
            return
        argv = [str(project.program(NAME)), "--config", str(self._config)]
        with self._log.open("ab") as log:
            process = subprocess.Popen(
                argv,
                env=passed(),
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        what = f"{process.pid} {_birth(process.pid)} {project.installation(NAME)}\n"
        write_whole(self._pid_file, what, 0o600)

    def restart(self) -> None:
        """Stop it and start it."""
        self.stop()
        self.start()

    def stop(self) -> None:
        """
        End it, and wait until it has ended.

        @raise click.ClickException: if it does not.
        """
        pid = self._pid()
        if pid is not None:
            fd = os.pidfd_open(pid)
            try:
                # The pid may have been another's by the time that it was opened.
                if self._pid() == pid:
                    signal.pidfd_send_signal(fd, signal.SIGTERM)
                deadline = time.monotonic() + STOP_TIMEOUT
                while self._pid() == pid:
                    if time.monotonic() > deadline:
                        raise click.ClickException(f"the daemon, pid {pid}, does not end")
                    time.sleep(INTERVAL)
            finally:
                os.close(fd)
        self._pid_file.unlink(missing_ok=True)

    def remove(self) -> None:
        """End it."""
        self.stop()

    def is_running(self) -> bool:
        """Whether the process is there."""
        return self._pid() is not None

    def is_current(self) -> bool:
        """Whether it is of the version that is installed now."""
        return self._noted()[2] == project.installation(NAME)

    def last_lines(self) -> list[str]:
        """Return the end of its log."""
        if not self._log.exists():
            return []
        return lines_that_matter(self._log.read_text("utf-8", "backslashreplace"))

    def _pid(self) -> int | None:
        """Return its pid, unless it has ended."""
        pid, birth, _ = self._noted()
        return int(pid) if pid.isdecimal() and _birth(int(pid)) == birth else None

    def _noted(self) -> tuple[str, str, str]:
        """Return its pid, its birth and its installation, as they were noted."""
        try:
            noted = self._pid_file.read_text("utf-8").rstrip("\n").split(" ", 2)
        except (FileNotFoundError, ValueError):
            noted = []
        pid, birth, installation = [*noted, "", "", ""][:3]
        return pid, birth, installation


def _birth(pid: int) -> str:
    """Tell a process from later ones with its pid: when it began (proc(5), stat)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    # What has ended and waits for its parent is no process any more.
    return "" if fields[0] in "ZX" else f"{boot}-{fields[19]}"
