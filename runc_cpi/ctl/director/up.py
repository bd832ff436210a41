"""The steps of C{up}: from a host with nothing to a director that answers."""

from __future__ import annotations

from datetime import datetime, timezone
from functools import partial

import yaml

from runc_cpi import __version__
from runc_cpi.ctl.director import (
    configs,
    deployment,
    host,
    project,
    renewal,
    stemcell_fit,
    told,
)
from runc_cpi.ctl.director.director import Director
from runc_cpi.ctl.director.manifest import stemcell_of
from runc_cpi.ctl.director.running import CommandFailed
from runc_cpi.ctl.director.steps import Step
from runc_cpi.errors import DaemonSilent

LOG_ADVICE = "see above; runc-cpictl director logs --daemon has the daemon's side"
CLI_ADVICE = "give --bosh-cli, or look at this host's way to the Internet"
DEPLOYMENT_ADVICE = (
    "give a directory with --bosh-deployment, or look at this host's way to the Internet"
)
DAEMON_ADVICE = (
    "its last lines say what it does not like; docs/operations.md lists its refusals.  "
    "If its network overlaps with another one of this host, give --cidr"
)

# For a daemon that runs to answer, in seconds.
PATIENCE = 10.0


class Up:
    """
    Makes a director, or brings it up to date.

    @param director: which.
    """

    def __init__(self, director: Director) -> None:
        self._director = director

    def steps(self) -> list[Step]:
        """Return the steps, each of which does only what is not done yet."""
        return [
            Step("host", "look at this host", self._host, "put right what is named"),
            Step("files", "make the daemon's files", self._files, "see the error"),
            self.daemon_step(),
            self.vm_step(),
            Step("bosh-cli", "find the bosh CLI", self._bosh, CLI_ADVICE),
            Step(
                "bosh-deployment",
                "get bosh-deployment",
                self._deployment,
                DEPLOYMENT_ADVICE,
            ),
            Step("release", "make the release of the CPI", self._release, "see above"),
            Step("manifest", "put the manifest together", self._manifest, "see above"),
            Step("certificates", "see when they end", self._certificates, "see above"),
            Step("create-env", "make the director's VM", self._create_env, LOG_ADVICE),
            self.director_step(),
            *(
                Step(name, told.TITLES[name], partial(self._tell, name), LOG_ADVICE)
                for name in told.names(self._director.settings)
            ),
        ]

    def daemon_step(self) -> Step:
        """Return the step that starts the daemon."""
        return Step("daemon", "start the daemon", self._daemon, DAEMON_ADVICE)

    def vm_step(self) -> Step:
        """Return the step that boots the director's VM, if it is down."""
        return Step("vm", "boot the director's VM", self._vm, LOG_ADVICE)

    def director_step(self) -> Step:
        """Return the step that waits until the director answers."""
        return Step("director", "wait for the director", self._wait, LOG_ADVICE)

    def _host(self) -> str:
        director = self._director
        is_new = director.environment.vm_cid() is None
        return host.check(director.settings, director.config, is_new=is_new)

    def _files(self) -> str:
        director = self._director
        director.keep()
        written = director.files.write(director.settings)
        made = director.files.make_certificates(director.settings)
        if (made or written) and director.service.is_running():
            director.service.restart()
        return f"{director.files.config}, {'new' if made or written else 'as it was'}"

    def _daemon(self) -> str:
        director, service = self._director, self._director.service
        runs = service.is_running()
        # One that has just begun gets some time.
        try:
            version = director.daemon_version(PATIENCE if runs else 0)
        except DaemonSilent:
            if not runs:
                raise  # it is not ours to restart
            version = None
        if version and not runs and not director.take_over():
            return f"runc-cpid {version} runs, started by others, who must start it at boot"
        if version == __version__ and runs and service.is_current():
            service.start()  # also at the next boot
            return f"runc-cpid {version} runs"
        if runs:
            service.restart()
        else:
            service.start()
        return f"runc-cpid {director.wait_for_daemon()} started"

    def _vm(self) -> str:
        """
        Boot a VM that has ended by itself.

        bosh only talks to the agent in it, and would wait for that in vain.
        """
        director = self._director
        vm_cid = director.environment.vm_cid()
        if vm_cid is None:
            return "there is none yet"
        runs = director.vm_runs()
        if runs is None:
            return f"the daemon has no {vm_cid} that it could boot"
        if runs:
            return f"{vm_cid}, as it was"
        director.operator().ask("StartVM", vm_cid=vm_cid)
        return f"{vm_cid}, booted"

    def _bosh(self) -> str:
        bosh = self._director.bosh
        return f"{bosh.path}, {bosh.version()}"

    def _deployment(self) -> str:
        found = self._director.deployment
        return "not used" if found is None else str(found)

    def _release(self) -> str:
        director = self._director
        made = project.make_release(director.bosh.path, director.directory, director.runner)
        release = project.release_path(director.directory).name
        return f"{release}, {'made' if made else 'as it was'}"

    def _manifest(self) -> str:
        director = self._director
        director.directory.back_up()
        before, after = director.applied(), director.shown
        stemcell_fit.check(str(stemcell_of(yaml.safe_load(after)).get("url", "")))
        if before is None:
            return "new"
        return "as it was" if before == after else "changed"

    def _certificates(self) -> str:
        """Have bosh make anew what ends soon; all steps that follow then use it."""
        directory, now = self._director.directory, datetime.now(timezone.utc)
        credentials, given = renewal.read(directory), self._director.given()
        names = renewal.due(credentials, now, given)
        if not names:
            return renewal.told(credentials, now, given)
        renewal.write(directory, renewal.renew(credentials, names, now, given))
        return f"renewed: {', '.join(names)}; deploy again, so that VMs have them"

    def _create_env(self) -> str:
        director = self._director
        directory = director.directory
        before = director.environment.vm_cid()
        arguments = director.create_env_arguments()
        try:
            director.bosh.run("create-env", "create-env", *arguments)
        finally:
            # Whatever came of it, bosh has written down what there is now.
            directory.back_up()
        directory.write(directory.manifest, director.shown)
        project.remove_other_releases(directory)
        deployment.remove_others(directory, director.deployment)
        directory.back_up()
        after = director.environment.vm_cid()
        if before != after:
            return f"{after}, new"
        self._start_if_stopped()
        return f"{after}, as it was"

    def _start_if_stopped(self) -> None:
        """Start the jobs of a VM in which bosh has changed nothing."""
        try:
            self._director.answer()
        except CommandFailed:
            self._director.run_applied("start-env")

    def _wait(self) -> str:
        answer = self._director.wait_until_it_answers()
        return f"{self._director.environment.url}, {answer}"

    def _tell(self, name: str) -> str:
        director = self._director
        try:
            if name in configs.PRINTED:
                return configs.tell(director, name)
            arguments = told.arguments(name, director.manifest, director.complete)
            director.tell(name, *arguments)
            return "told"
        finally:
            # bosh may have made certificates.
            director.directory.back_up()
