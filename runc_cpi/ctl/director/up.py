"""The steps of C{up}: from a host with nothing to a director that answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import yaml

from runc_cpi.ctl.director import host, project
from runc_cpi.ctl.director.director import Director
from runc_cpi.ctl.director.downloads import Cache
from runc_cpi.ctl.director.manifest import release_urls, stemcell_of
from runc_cpi.ctl.director.settings import is_path
from runc_cpi.ctl.director.stemcell import name_and_version
from runc_cpi.ctl.director.steps import Step

RUNTIME_CONFIG = "runtime-configs/dns.yml"
LOG_ADVICE = "see above; runc-cpictl director logs --daemon has the daemon's side"


class Up:
    """
    Makes a director, or brings it up to date.

    @param director: which.
    """

    def __init__(self, director: Director) -> None:
        self._director = director

    def steps(self) -> list[Step]:
        """Return the steps, each of which does only what is not done yet."""
        settings = self._director.settings
        steps = [
            Step("host", "look at this host", self._host, "put right what is named"),
            Step(
                "certificates",
                "make the daemon's certificates and configuration",
                self._files,
                "see the error",
            ),
            self.daemon_step(),
            Step(
                "bosh-cli",
                "find the bosh CLI",
                self._bosh,
                "give --bosh-cli, or look at this host's way to the Internet",
            ),
            Step(
                "bosh-deployment",
                "get bosh-deployment",
                self._deployment,
                "give --bosh-deployment DIR, or look at this host's way to the Internet",
            ),
            Step("release", "make the release of the CPI", self._release, "see above"),
            Step("manifest", "put the manifest together", self._manifest, "see above"),
            Step("create-env", "create the director's VM", self._create_env, LOG_ADVICE),
            self.director_step(),
            Step(
                "cloud-config",
                "tell the director of VM types, disks and networks",
                self._cloud_config,
                LOG_ADVICE,
            ),
        ]
        if "dns" in settings.features:
            title = "have BOSH DNS on all VMs"
            steps.append(Step("dns", title, self._dns, LOG_ADVICE))
        if settings.cpi_config is not None:
            title = "tell the director of other hosts"
            steps.append(Step("cpi-config", title, self._cpi_config, LOG_ADVICE))
        title = "upload the stemcell"
        steps.append(Step("stemcell", title, self._stemcell, LOG_ADVICE))
        return steps

    def daemon_step(self) -> Step:
        """Return the step that starts the daemon."""
        advice = (
            "the last line of its log says what it does not like; docs/operations.md "
            "lists its refusals"
        )
        return Step("daemon", "start the daemon", self._daemon, advice)

    def director_step(self) -> Step:
        """Return the step that waits until the director answers."""
        return Step("director", "wait for the director", self._wait, LOG_ADVICE)

    def _host(self) -> str:
        director = self._director
        there = director.environment.vm_cid() is not None
        return host.check(director.settings, director.config, ports=not there)

    def _files(self) -> str:
        director = self._director
        director.keep()
        made = director.files.make_certificates(director.settings)
        written = director.files.write(director.settings)
        if written and director.daemon_version() is not None:
            director.service.restart()
        return str(director.files.config) + (", new" if made or written else ", as it was")

    def _daemon(self) -> str:
        director = self._director
        version = director.daemon_version()
        if version is not None:
            return f"runc-cpid {version} runs"
        director.service.start()
        return f"runc-cpid {director.wait_for_daemon()} started"

    def _bosh(self) -> str:
        bosh = self._director.bosh
        return f"{bosh.path}, {bosh.version()}"

    def _deployment(self) -> str:
        found = self._director.deployment
        return "not used" if found is None else str(found)

    def _release(self) -> str:
        director = self._director
        release, made = project.make_release(
            director.bosh.path, director.directory, director.runner
        )
        return release.name + (", made" if made else ", as it was")

    def _manifest(self) -> str:
        director = self._director
        director.directory.back_up()
        director.manifest.write_variables()
        after = director.manifest.shown(director.bosh)
        applied = director.directory.manifest
        before = applied.read_text("utf-8") if applied.exists() else None
        if before is None:
            return "new"
        return "as it was" if before == after else "changed"

    def _create_env(self) -> str:
        director = self._director
        directory = director.directory
        before = director.environment.vm_cid()
        arguments = director.create_env_arguments()
        try:
            director.bosh.run("create-env", "create-env", *arguments)
        finally:
            directory.back_up()
        directory.write(directory.manifest, director.manifest.shown(director.bosh))
        director.keep()
        directory.back_up()
        after = director.environment.vm_cid()
        return f"{after}, as it was" if before == after else f"{after}, new"

    def _wait(self) -> str:
        version = self._director.wait_until_it_answers()
        return f"{self._director.environment.url}, {version}"

    def _cloud_config(self) -> str:
        director = self._director
        path = project.operations() / "cloud-config.yml"
        variables = director.directory.variables
        director.tell("cloud-config", "update-cloud-config", path, "-l", variables)
        return "as operations/cloud-config.yml"

    def _dns(self) -> str:
        director = self._director
        assert director.deployment is not None
        path = director.deployment / RUNTIME_CONFIG
        if director.cache is not None:
            path = self._cached_releases(path, director.cache)
        director.tell("dns", "update-runtime-config", "--name", "dns", path)
        return "as bosh-deployment has it"

    def _cached_releases(self, path: Path, cache: Cache) -> Path:
        """Return a runtime config whose releases are taken from files."""
        document: dict[str, Any] = yaml.safe_load(path.read_text("utf-8"))
        urls = release_urls(document)
        for release in document.get("releases") or ():
            found = cache.find(urls.get(release["name"], ""))
            if found is not None:
                release["url"] = f"file://{found}"
        copy = self._director.directory.made / "dns.yml"
        text = yaml.safe_dump(document, sort_keys=False)
        self._director.directory.write(copy, text)
        return copy

    def _cpi_config(self) -> str:
        director = self._director
        assert director.settings.cpi_config is not None
        arguments: list[str | Path] = [Path(director.settings.cpi_config)]
        arguments += ["-l", director.directory.variables]
        for path in director.settings.vars:
            arguments += ["-l", Path(path)]
        if director.manifest.tls is not None:
            arguments += ["-l", director.manifest.tls]
        director.tell("cpi-config", "update-cpi-config", *arguments)
        return director.settings.cpi_config

    def _stemcell(self) -> str:
        director = self._director
        shown = yaml.safe_load(director.manifest.shown(director.bosh))
        stemcell = stemcell_of(shown)
        url = str(stemcell.get("url", ""))
        if not url:
            raise click.ClickException("the manifest names no stemcell")
        if url.startswith("file://"):
            path = url.removeprefix("file://")
            director.tell("stemcell", "upload-stemcell", path)
            return path
        found = None if director.cache is None else director.cache.find(url)
        if found is not None:
            director.tell("stemcell", "upload-stemcell", found)
            return str(found)
        arguments = [url, "--sha1", str(stemcell.get("sha1", ""))]
        known = name_and_version(url)
        if known is not None:
            # So bosh asks whether the director has it, before that downloads it.
            arguments += ["--name", known[0], "--version", known[1]]
        director.tell("stemcell", "upload-stemcell", *arguments)
        return url.rpartition("/")[2] if not is_path(url) else url
