"""The director's manifest: what it is made of, and what a change of it means."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import yaml

from runc_cpi.ctl.director import project
from runc_cpi.ctl.director.bosh_cli import BoshCLI
from runc_cpi.ctl.director.deployment import MANIFEST
from runc_cpi.ctl.director.directory import StateDirectory
from runc_cpi.ctl.director.downloads import Cache, digest_of
from runc_cpi.ctl.director.settings import PUBLISHED, Settings, is_path

# Ops-files of bosh-deployment, in the order in which they must be applied.
FEATURES = {"uaa": "uaa.yml", "credhub": "credhub.yml", "jumpbox": "jumpbox-user.yml"}
# Ours, which all directors have.
OURS = ("runc-cpi", "dev-release", "director-disk", "ports", "fast-nats")
STEMCELL = "/resource_pools/name=vms/stemcell"


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """
    What the manifest of a director is made of.

    @ivar settings: what the director is to be like.
    @ivar deployment: the directory of bosh-deployment, or L{None} if it is not used.
    @ivar release: the tarball of our release.
    @ivar tls: the file with the CPI's certificate, or L{None} without TLS.
    @ivar directory: where files for bosh are written.
    @ivar cache: where releases and stemcells are in place of the Internet, or L{None}.
    """

    settings: Settings
    deployment: Path | None
    release: Path
    tls: Path | None
    directory: StateDirectory
    cache: Cache | None

    def write_variables(self) -> None:
        """Write what the variables are that are no secrets."""
        settings = self.settings
        values: dict[str, Any] = {
            "director_name": settings.name,
            "external_cpid_ip": settings.gateway,
            "internal_cpid_ip": settings.gateway,
            "internal_ip": settings.address,
            "internal_gw": settings.gateway,
            "internal_cidr": settings.cidr,
            "runc_cpi_release": str(self.release),
            "director_disk_size": settings.disk_size,
            "published_ip": PUBLISHED,
        }
        if settings.stemcell is not None and is_path(settings.stemcell):
            values["local_stemcell"] = settings.stemcell
        text = yaml.safe_dump(values, sort_keys=False)
        if not _holds(self.directory.variables, text):
            self.directory.write(self.directory.variables, text)

    def arguments(self, bosh: BoshCLI) -> list[str | Path]:
        """
        Return the arguments for bosh that tell it the manifest, without secrets.

        @param bosh: finds out which releases it names, if they are in a cache.
        """
        return [*self._all_ops(bosh), *self._variables()]

    def _all_ops(self, bosh: BoshCLI) -> list[str | Path]:
        arguments = self._base()
        if self.cache is not None:
            named = yaml.safe_load(bosh.interpolate([*arguments, *self._variables()]))
            arguments += self._from_cache(self.cache, named)
        return arguments

    def _variables(self) -> list[str | Path]:
        arguments: list[str | Path] = []
        for path in (self.directory.variables, *map(Path, self.settings.vars)):
            arguments += ["-l", path]
        return arguments

    def complete(self, bosh: BoshCLI) -> str:
        """Return the manifest with all variables but those that bosh makes."""
        return bosh.interpolate(self.arguments(bosh))

    def shown(self, bosh: BoshCLI) -> str:
        """
        Return the manifest, in which secrets are names: it can be shown.

        Of the operator's variables nobody knows which are secrets.  So these are names too,
        and their digest at the end tells whether they are others.
        """
        ours = self.directory.variables
        paths = [Path(path) for path in self.settings.vars]
        if not paths:
            return self.complete(bosh)
        operators = given(paths)
        known = yaml.safe_load(ours.read_text("utf-8"))
        public = {key: value for key, value in known.items() if key not in operators}
        shown = self.directory.made / "shown-vars.yml"
        self.directory.write(shown, yaml.safe_dump(public, sort_keys=False))
        text = bosh.interpolate([*self._all_ops(bosh), "-l", shown])
        digests = " ".join(digest_of(path, "sha256")[:12] for path in paths)
        return f"{text}# --vars, without their values: {digests}\n"

    def _base(self) -> list[str | Path]:
        operations, settings = project.operations(), self.settings
        arguments: list[str | Path] = []
        if settings.manifest is not None:
            arguments.append(Path(settings.manifest))
        else:
            assert self.deployment is not None
            arguments.append(self.deployment / MANIFEST)
        ops: list[Path] = []
        for feature, name in FEATURES.items():
            if feature in self.features:
                assert self.deployment is not None
                ops.append(self.deployment / name)
        ops += [operations / f"{name}.yml" for name in OURS]
        if self.tls is not None:
            ops.append(operations / "tls.yml")
        if settings.stemcell is not None:
            ops.append(self._stemcell(settings.stemcell))
        ops += [Path(path) for path in settings.ops]
        for path in ops:
            arguments += ["-o", path]
        return arguments

    @property
    def features(self) -> tuple[str, ...]:
        """What the director has besides, with what that takes."""
        features = self.settings.features
        return ("uaa", *features) if "credhub" in features else features

    def _stemcell(self, stemcell: str) -> Path:
        """Return the ops-file for another stemcell than the usual one."""
        if is_path(stemcell):
            return project.operations() / "local-stemcell.yml"
        value = {"url": stemcell, "sha1": self.settings.stemcell_sha1}
        return self._made("stemcell.yml", [_replacement(f"{STEMCELL}?", value)])

    def _from_cache(self, cache: Cache, manifest: Any) -> list[str | Path]:
        """Return what has bosh take releases and the stemcell from files."""
        operations = []
        for name, url in release_urls(manifest).items():
            found = cache.find(url)
            if found is not None:
                path = f"/releases/name={name}/url"
                operations.append(_replacement(path, f"file://{found}"))
        found = cache.find(str(stemcell_of(manifest).get("url")))
        if found is not None:
            operations.append(_replacement(f"{STEMCELL}/url", f"file://{found}"))
        return ["-o", self._made("offline.yml", operations)]

    def _made(self, name: str, operations: list[dict[str, Any]]) -> Path:
        path = self.directory.made / name
        self.directory.write(path, yaml.safe_dump(operations, sort_keys=False))
        return path


def release_urls(manifest: Any) -> dict[str, str]:
    """Return the releases of a manifest that are on the Internet: their URLs by name."""
    return {
        release["name"]: release["url"]
        for release in manifest.get("releases") or ()
        if str(release.get("url", "")).startswith(("http://", "https://"))
    }


def stemcell_of(manifest: Any) -> dict[str, Any]:
    """Return the stemcell of a manifest for create-env: its URL and digest."""
    for pool in manifest.get("resource_pools") or ():
        stemcell: dict[str, Any] = pool.get("stemcell") or {}
        return stemcell
    return {}


def difference(before: str, after: str) -> list[str]:
    """Return the lines that differ between two manifests, with those around them."""
    return list(
        difflib.unified_diff(
            before.splitlines(), after.splitlines(), "now", "then", lineterm="", n=4
        )
    )


def given(paths: Iterable[Path]) -> dict[str, Any]:
    """
    Return the variables in files of the operator; the last file that has one counts.

    @raise click.ClickException: if one cannot be read, or is no such file.
    """
    variables: dict[str, Any] = {}
    for path in paths:
        try:
            found = yaml.safe_load(path.read_text("utf-8")) or {}
        except OSError as error:
            raise click.ClickException(f"--vars: {path}: {error.strerror}") from None
        except (ValueError, yaml.YAMLError):
            # What is wrong about it could be shown only with a part of it.
            raise click.ClickException(f"--vars: {path}: it is no YAML") from None
        if not isinstance(found, dict):
            raise click.ClickException(
                f"--vars: {path}: it must be names with their values"
            )
        variables.update(found)
    return variables


def _replacement(path: str, value: Any) -> dict[str, Any]:
    return {"type": "replace", "path": path, "value": value}


def _holds(path: Path, text: str) -> bool:
    return path.exists() and path.read_text("utf-8") == text
