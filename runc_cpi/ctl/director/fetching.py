"""C{fetch}: all that a director takes, for a host that has no way out."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import yaml

from runc_cpi.ctl.director import bosh_cli, deployment
from runc_cpi.ctl.director.bosh_cli import BoshCLI
from runc_cpi.ctl.director.directory import StateDirectory
from runc_cpi.ctl.director.downloads import Cache
from runc_cpi.ctl.director.manifest import Manifest, release_urls, stemcell_of
from runc_cpi.ctl.director.running import Runner
from runc_cpi.ctl.director.settings import Settings, is_path
from runc_cpi.ctl.director.steps import Step, perform
from runc_cpi.ctl.director.told import RUNTIME_CONFIG

ADVICE = "look at this host's way to the Internet"


def fetch(path: Path, options: Mapping[str, Any]) -> None:
    """
    Fill a directory with what a director takes, unless it is there.

    @param options: what the director will be like.
    @raise click.ClickException: if something cannot be had.
    """
    settings = Settings().with_options(options)
    path.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="runc-cpi-fetch-") as scratch:
        directory = StateDirectory(Path(scratch))
        directory.prepare()
        fetching = _Fetching(settings, Cache(path.absolute()), directory)
        perform(
            [
                Step("bosh-cli", "the bosh CLI", fetching.bosh_cli, ADVICE),
                Step("bosh-deployment", "bosh-deployment", fetching.deployment, ADVICE),
                Step("releases", "the releases", fetching.releases, ADVICE),
                Step("stemcell", "the stemcell", fetching.stemcell, ADVICE),
            ],
            fetching.runner,
            f"runc-cpictl director fetch {path}",
        )


class _Fetching:
    """
    Fetches one thing after the other.

    @ivar deployment_path: where bosh-deployment is, once it is there.
    """

    def __init__(self, settings: Settings, cache: Cache, directory: StateDirectory) -> None:
        self._settings, self._cache, self._directory = settings, cache, directory
        self.runner = Runner(directory)
        self._deployment: Path | None = None
        self._shown: Any = None

    def bosh_cli(self) -> str:
        """Fetch the bosh CLI, unless another is named."""
        if self._settings.bosh_cli is not None:
            return f"{self._settings.bosh_cli} is used"
        url, digest = bosh_cli.source()
        return self._cache.add(url, digest).name

    def deployment(self) -> str:
        """Fetch bosh-deployment."""
        settings = self._settings
        if settings.manifest is not None and not settings.features:
            return "not used"
        source = settings.deployment_source
        tree = deployment.pack(source, self._cache, self._directory, self.runner)
        self._deployment = tree
        return "packed" if not is_path(source) else f"{tree} is used"

    def releases(self) -> str:
        """Fetch the releases of the manifest, and of the runtime config."""
        documents = [self._manifest()]
        if "dns" in self._settings.features and self._deployment is not None:
            text = (self._deployment / RUNTIME_CONFIG).read_text("utf-8")
            documents.append(yaml.safe_load(text))
        count = 0
        for document in documents:
            digests = {r["name"]: r.get("sha1") for r in document.get("releases") or ()}
            for name, url in release_urls(document).items():
                if not digests[name]:
                    raise click.ClickException(f"the release {name} has no sha1: {url}")
                self._cache.add(url, str(digests[name]))
                count += 1
        return f"{count} releases"

    def stemcell(self) -> str:
        """Fetch the stemcell."""
        stemcell = stemcell_of(self._manifest())
        url = str(stemcell.get("url", ""))
        if url.startswith("file://"):
            return f"{url} is used"
        if not stemcell.get("sha1"):
            raise click.ClickException(f"the stemcell has no sha1: {url}")
        return self._cache.add(url, str(stemcell["sha1"])).name

    def _manifest(self) -> Any:
        if self._shown is None:
            self._shown = yaml.safe_load(self._interpolated())
        return self._shown

    def _interpolated(self) -> str:
        cache = None if self._settings.bosh_cli is not None else self._cache
        path = bosh_cli.find(self._settings.bosh_cli, self._directory, cache)
        manifest = Manifest(
            settings=self._settings,
            deployment=self._deployment,
            # It is made on the host without a way out, which takes no more than this.
            release=self._directory.release / "not-made.tgz",
            tls=None,
            directory=self._directory,
            cache=None,
        )
        manifest.write_variables()
        bosh = BoshCLI(path, self._directory, self.runner)
        return manifest.complete(bosh)
