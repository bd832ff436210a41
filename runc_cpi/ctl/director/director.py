"""One director: its parts, put together."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import click

from runc_cpi.ctl.director import bosh_cli, deployment, project
from runc_cpi.ctl.director.bosh_cli import BoshCLI
from runc_cpi.ctl.director.daemon_files import DaemonFiles
from runc_cpi.ctl.director.directory import StateDirectory
from runc_cpi.ctl.director.downloads import Cache
from runc_cpi.ctl.director.environment import Environment
from runc_cpi.ctl.director.manifest import Manifest, given
from runc_cpi.ctl.director.running import CommandFailed, Runner
from runc_cpi.ctl.director.service import ProcessService, Service, choose
from runc_cpi.ctl.director.settings import Settings
from runc_cpi.ctl.operator import DEFAULT_CONFIG, Operator
from runc_cpi.daemon.config import DaemonConfig
from runc_cpi.errors import DaemonSilent, DaemonUnreachable

# For the daemon and the director to answer, in seconds.
DAEMON_TIMEOUT, DIRECTOR_TIMEOUT = 120.0, 300.0
INTERVAL = 0.2


class Director:
    """
    One director, as its settings say.

    @ivar directory: what is kept of it. @ivar settings: what it is like.
    @ivar files: the daemon's files. @ivar environment: how it is reached.

    @param only_looks: whether nothing is made that it can be described without.
    """

    def __init__(
        self,
        operator: Operator,
        directory: StateDirectory,
        settings: Settings,
        *,
        only_looks: bool = False,
    ) -> None:
        self._only_looks = only_looks
        config = operator.config_file
        if config == DEFAULT_CONFIG:
            config = settings.config or config
        self.files = DaemonFiles(Path(config).absolute())
        # Later commands then need not name it.
        settings = replace(settings, config=str(self.files.config))
        self.directory, self.settings = directory, settings
        self.environment = Environment(directory, settings)
        self.runner = Runner(directory)

    @property
    def cache(self) -> Cache | None:
        """Where files come from in place of the Internet, or L{None}."""
        return None if self.settings.offline is None else Cache(Path(self.settings.offline))

    @property
    def config(self) -> DaemonConfig:
        """The daemon's configuration, as it is or will be."""
        return self.files.parse(self.settings)

    @cached_property
    def service(self) -> Service:
        """What runs the daemon."""
        config = self.files.config
        return choose(self.settings.systemd, config, self.directory, self.runner)

    @cached_property
    def bosh(self) -> BoshCLI:
        """The bosh CLI, which is downloaded where there is none."""
        path = bosh_cli.find(self.settings.bosh_cli, self.directory, self.cache)
        return BoshCLI(path, self.directory, self.runner)

    @cached_property
    def deployment(self) -> Path | None:
        """The directory of bosh-deployment, which is fetched; L{None} if it is not used."""
        settings = self.settings
        if settings.manifest is not None and not settings.features:
            return None
        source = settings.deployment_source
        return deployment.get(source, self.directory, self.runner, self.cache)

    @cached_property
    def manifest(self) -> Manifest:
        """What the manifest is made of; our release is made where there is none."""
        release = project.release_path(self.directory)
        if not self._only_looks:
            project.make_release(self.bosh.path, self.directory, self.runner)
        return Manifest(
            settings=self.settings,
            deployment=self.deployment,
            release=release,
            tls=self.files.tls_variables(self.config),
            directory=self.directory,
            cache=self.cache,
        )

    @cached_property
    def shown(self) -> str:
        """The manifest as it will be applied, with the names of secrets in their places."""
        self.manifest.write_variables()
        return self.manifest.shown(self.bosh)

    @cached_property
    def complete(self) -> str:
        """The manifest with the operator's variables too, which is for bosh alone."""
        self.manifest.write_variables()
        return self.manifest.complete(self.bosh)

    def create_env_arguments(self) -> list[str | Path]:
        """Return what create-env and the like take, from the manifest to the state."""
        self.manifest.write_variables()
        return [*self.manifest.arguments(self.bosh), *self._kept_arguments()]

    def applied(self) -> str | None:
        """Return the manifest as it was applied last, or L{None} if it never was."""
        path = self.directory.manifest
        return path.read_text("utf-8") if path.exists() else None

    def run_applied(self, command: str) -> None:
        """Run stop-env or the like: with the manifest as it was applied last."""
        arguments: list[str | Path] = [self.directory.manifest, *self._kept_arguments()]
        if self.applied() is None:
            arguments = self.create_env_arguments()
        self.bosh.run(command, command, *arguments)

    def _kept_arguments(self) -> list[str | Path]:
        """Return those about secrets, and about what there is."""
        tls = self.files.tls_variables(self.config)
        secrets: list[str | Path] = []
        for path in [*self.settings.vars_files, *([] if tls is None else [tls])]:
            secrets += ["-l", path]
        secrets += ["--vars-store", self.directory.credentials]
        return [*secrets, "--state", self.directory.state]

    def given(self) -> dict[str, Any]:
        """Return the operator's variables, of the files that are there."""
        return given(self.settings.vars_files)

    def operator(self) -> Operator:
        """Return what asks the daemon, by its configuration as it is now."""
        operator = Operator()
        operator.config_file = str(self.files.config)
        return operator

    def take_over(self) -> bool:
        """
        End the daemon that an earlier C{up} has started as a process, for systemd.

        @return: whether there was such a one; all others are somebody else's.
        """
        before = ProcessService(self.files.config, self.directory)
        if isinstance(self.service, ProcessService) or not before.is_running():
            return False
        before.stop()
        return True

    def daemon_version(self, patience: float = 0) -> str | None:
        """
        Return the daemon's version, or L{None} if there is none.

        @param patience: for how long it is asked, in seconds.
        @raise DaemonSilent: if one is there, and answers nobody.
        """
        if not self.files.config.exists():
            return None
        deadline = time.monotonic() + patience
        while True:
            try:
                return self.operator().ask("Ping")[b"version"].decode()
            except DaemonSilent:
                raise
            except DaemonUnreachable:
                if time.monotonic() >= deadline:
                    return None
                time.sleep(INTERVAL)

    def vm_runs(self) -> bool | None:
        """
        Whether the director's VM runs.

        It is L{None} if the daemon has no such VM, or cannot know, as its record is bad.
        """
        vm_cid = self.environment.vm_cid()
        (vms,) = self.operator().ask_for("ListVMs", "vms")
        for vm in vms:
            if vm["vm_cid"] == vm_cid and vm.get("state") != "set_aside":
                return bool(vm["running"])
        return None

    def wait_for_daemon(self) -> str:
        """
        Wait until the daemon answers, and return its version.

        @raise CommandFailed: if it ends, or does not answer in time.
        @raise DaemonSilent: as L{daemon_version}.
        """
        deadline = time.monotonic() + DAEMON_TIMEOUT
        while (version := self.daemon_version()) is None:
            if not self.service.is_running() or time.monotonic() > deadline:
                raise CommandFailed("the daemon does not serve", self._daemon_lines())
            time.sleep(INTERVAL)
        return version

    def _daemon_lines(self) -> Sequence[str]:
        return self.service.last_lines()

    def ask(self, name: str, *arguments: str | Path) -> str:
        """Have bosh ask the director, and return what it prints."""
        return self.bosh.read(name, *arguments, environment=self.environment.login())

    def tell(self, name: str, *arguments: str | Path) -> None:
        """Have bosh tell the director something, without a question."""
        self.bosh.run(name, "-n", *arguments, environment=self.environment.login())

    def answer(self) -> str:
        """
        Return the name and version that the director's API tells.

        @raise CommandFailed: if it does not answer.
        """
        login = self.environment.login()
        (row,) = self.bosh.rows("env", "env", environment=login)
        return f"{row.get('name')} {row.get('version')}"

    def wait_until_it_answers(self) -> str:
        """
        Wait until the director's API answers, and return what it tells.

        @raise CommandFailed: if it does not in time.
        """
        deadline = time.monotonic() + DIRECTOR_TIMEOUT
        while True:
            try:
                return self.answer()
            except CommandFailed:
                if time.monotonic() > deadline:
                    raise
                time.sleep(INTERVAL)

    def keep(self) -> None:
        """Write down the settings, for the commands that follow."""
        text = self.settings.to_json()
        if not self.directory.is_there or self.directory.settings.read_text() != text:
            self.directory.write(self.directory.settings, text)


def existing(operator: Operator, directory: StateDirectory) -> Director:
    """
    Return the director that was made here.

    @raise click.ClickException: if none was.
    """
    return Director(operator, directory, kept_settings(directory))


def kept_settings(directory: StateDirectory) -> Settings:
    """
    Return the settings that are kept.

    @raise click.ClickException: if there are none.
    """
    try:
        text = directory.settings.read_text("utf-8")
        if not directory.is_ours:
            raise FileNotFoundError  # another program's settings
        return Settings.from_json(text)
    except FileNotFoundError:
        raise click.ClickException(
            f"{directory.path} has no director; runc-cpictl director up makes one"
        ) from None
    except (OSError, ValueError, TypeError) as error:
        raise click.ClickException(f"{directory.settings}: {error}") from None
