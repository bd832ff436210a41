"""The bosh CLI: where it is, and how it is called."""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from runc_cpi.ctl.director.directory import StateDirectory
from runc_cpi.ctl.director.downloads import Cache, check, download, has
from runc_cpi.ctl.director.running import Runner, passed

# What is downloaded where there is none. The digests are those that its makers publish.
VERSION = "7.10.6"
URL = "https://storage.googleapis.com/bosh-cli-artifacts/bosh-cli-{version}-linux-{machine}"
DIGESTS = {
    "amd64": "sha256:5a37b97085ad2656984a4ec15d051b4e0ebd3262a9f55d844daf01b46b90f268",
}
MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}
LEAST = 7
_VERSION = re.compile(r"version (\d+)\.")


class BoshCLI:
    """
    The bosh CLI, for one director.

    It finds nothing of the operator's own settings, and leaves nothing outside of the
    director's directory.

    @ivar path: of the program.
    """

    def __init__(self, path: Path, directory: StateDirectory, runner: Runner) -> None:
        self.path = path
        self._directory, self._runner = directory, runner

    def environment(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        """Return the environment it is run in, beside what all programs have."""
        return {
            "HOME": str(self._directory.home),
            "BOSH_NON_INTERACTIVE": "true",
            **(more or {}),
        }

    def version(self) -> str:
        """
        Return its version.

        @raise click.ClickException: if it is too old.
        """
        told = self.read("version", "--version").partition("\n")[0]
        found = _VERSION.match(told)
        if found and int(found[1]) < LEAST:
            message = f"{self.path}: {told}; {LEAST} or newer is needed"
            raise click.ClickException(message)
        return told.removeprefix("version ").strip()

    def interpolate(self, arguments: Sequence[str | Path]) -> str:
        """Return a manifest with its ops-files and variables; unknown variables stay."""
        return self.read("interpolate", "int", *arguments)

    def read(
        self,
        name: str,
        *arguments: str | Path,
        environment: Mapping[str, str] | None = None,
    ) -> str:
        """Run it, and return what it prints. @param name: of the log."""
        return self._runner.read(
            name, [self.path, *arguments], environment=self.environment(environment)
        )

    def run(
        self,
        name: str,
        *arguments: str | Path,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Run it; what it prints is in the log of that name."""
        self._runner.run(
            name, [self.path, *arguments], environment=self.environment(environment)
        )

    def rows(
        self, name: str, *arguments: str, environment: Mapping[str, str]
    ) -> list[dict[str, Any]]:
        """Run it, and return the rows of the table that it prints."""
        answer = json.loads(self.read(name, "--json", *arguments, environment=environment))
        tables = answer.get("Tables") or [{}]
        rows: list[dict[str, Any]] = tables[0].get("Rows") or []
        return rows


def find(named: str | None, directory: StateDirectory, cache: Cache | None) -> Path:
    """
    Return the path of the bosh CLI; without one here it is downloaded.

    @param named: the one to use, or L{None}.
    @param cache: where to have it from in place of the Internet.
    @raise click.ClickException: if there is none to be had.
    """
    if named is not None:
        if not os.access(named, os.X_OK):
            raise click.ClickException(f"--bosh-cli: {named} cannot be executed")
        return Path(named)
    installed = shutil.which("bosh", path=passed().get("PATH"))
    if installed is not None:
        return Path(installed)
    url, digest = source()
    target = directory.bin / "bosh"
    if target.exists() and has(target, digest):
        return target
    found = None if cache is None else cache.find(url)
    if found is not None:
        draft = target.with_suffix(".new")
        shutil.copyfile(found, draft)
        check(draft, digest)
    elif cache is not None:
        raise click.ClickException(
            f"--offline: {cache.path} has no bosh CLI; fill it with runc-cpictl director "
            "fetch, or give --bosh-cli"
        )
    else:
        draft = target.with_suffix(".new")
        download(url, digest, draft)
    draft.chmod(0o755)
    draft.replace(target)
    return target


def source() -> tuple[str, str]:
    """
    Return the URL of the bosh CLI for this machine, and its digest.

    @raise click.ClickException: if none is known.
    """
    machine = MACHINES.get(platform.machine(), platform.machine())
    if machine not in DIGESTS:
        raise click.ClickException(
            f"no checksum of a bosh CLI for {machine} is known here, so none is "
            "downloaded: install one, and give it with --bosh-cli"
        )
    return URL.format(version=VERSION, machine=machine), DIGESTS[machine]
