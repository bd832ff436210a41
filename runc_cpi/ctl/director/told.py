"""What a new director is told: VM types and networks, BOSH DNS, other hosts, a stemcell."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click
import yaml

from runc_cpi.ctl.director import project
from runc_cpi.ctl.director.downloads import Cache
from runc_cpi.ctl.director.manifest import Manifest, release_urls, stemcell_of
from runc_cpi.ctl.director.settings import Settings

RUNTIME_CONFIG = "runtime-configs/dns.yml"
# Such as bosh-stemcell-1.484-warden-boshlite-ubuntu-noble.tgz.
_STEMCELL = re.compile(r"(?:light-)?bosh-stemcell-([\d.]+)-([a-z0-9-]+?)(-go_agent)?\.tgz")


# What there is to tell, and what doing so is called.
TITLES = {
    "cloud-config": "tell the director of VM types, disks and networks",
    "dns": "have BOSH DNS in all VMs",
    "cpi-config": "tell the director of other hosts",
    "stemcell": "upload the stemcell",
}


def names(settings: Settings) -> list[str]:
    """Return the names of what a director is told, in order."""
    left_out = set()
    if "dns" not in settings.features:
        left_out.add("dns")
    if settings.cpi_config is None:
        left_out.add("cpi-config")
    return [name for name in TITLES if name not in left_out]


def arguments(name: str, manifest: Manifest, complete: str) -> list[str | Path]:
    """
    Return the arguments with which bosh tells the director something.

    @param name: one of L{TITLES}.
    @param complete: the manifest with all ops-files and variables.
    """
    variables = manifest.directory.variables
    if name == "cloud-config":
        cloud_config = project.operations() / "cloud-config.yml"
        return ["update-cloud-config", cloud_config, "-l", variables]
    if name == "dns":
        dns: list[str | Path] = ["update-runtime-config", "--name", "dns"]
        return [*dns, _runtime_config(manifest), *_generated(manifest)]
    if name == "cpi-config":
        assert manifest.settings.cpi_config is not None
        told: list[str | Path] = ["update-cpi-config", Path(manifest.settings.cpi_config)]
        for path in (variables, *map(Path, manifest.settings.vars), manifest.tls):
            told += [] if path is None else ["-l", path]
        return told
    return _upload(stemcell_of(yaml.safe_load(complete)))


def sources(arguments: list[str | Path]) -> list[str | Path]:
    """Return those of L{arguments} that say what a config is made of."""
    first = next(i for i, each in enumerate(arguments) if isinstance(each, Path))
    return arguments[first:]


def _generated(manifest: Manifest) -> list[str | Path]:
    """Return what has bosh make the certificates that a director without CredHub cannot."""
    if "credhub" in manifest.features:
        return []
    return ["--vars-store", manifest.directory.credentials]


def _runtime_config(manifest: Manifest) -> Path:
    assert manifest.deployment is not None
    path = manifest.deployment / RUNTIME_CONFIG
    if manifest.cache is not None:
        return _from_cache(path, manifest, manifest.cache)
    return path


def _from_cache(path: Path, manifest: Manifest, cache: Cache) -> Path:
    """Return a copy of a runtime config whose releases are taken from files."""
    document: dict[str, Any] = yaml.safe_load(path.read_text("utf-8"))
    urls = release_urls(document)
    for release in document.get("releases") or ():
        found = cache.find(urls.get(release["name"], ""))
        if found is not None:
            release["url"] = f"file://{found}"
    copy = manifest.directory.made / "dns.yml"
    manifest.directory.write(copy, yaml.safe_dump(document, sort_keys=False))
    return copy


def _upload(stemcell: dict[str, Any]) -> list[str | Path]:
    url = str(stemcell.get("url", ""))
    if not url:
        raise click.ClickException("the manifest names no stemcell")
    if url.startswith("file://"):
        return ["upload-stemcell", url.removeprefix("file://")]
    known = name_and_version(url)
    # So bosh asks first whether the director has it.
    named = [] if known is None else ["--name", known[0], "--version", known[1]]
    return ["upload-stemcell", url, "--sha1", str(stemcell.get("sha1", "")), *named]


def name_and_version(url: str) -> tuple[str, str] | None:
    """Return the name and version of the stemcell at a URL, or L{None} if it tells none."""
    found = _STEMCELL.fullmatch(url.rpartition("/")[2])
    if found is None:
        return None
    version, infrastructure, suffix = found.groups()
    return f"bosh-{infrastructure}{suffix or ''}", version
