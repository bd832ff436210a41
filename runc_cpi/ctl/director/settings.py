"""What a director is to be like: the options of C{up}, which are kept for the next time."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from ipaddress import AddressValueError, IPv4Address, IPv4Network, NetmaskValueError
from pathlib import Path
from typing import Any

import click

NONE = "none"
FEATURES = ("uaa", "credhub", "jumpbox", "dns")
# The address that the director's ports are published at, and these ports.
PUBLISHED = "127.0.0.1"
API, AGENT, SSH = 25555, 6868, 2222
# How far the director's address is behind that of its network, unless told otherwise.
OFFSET = 4
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
# bosh-deployment at a commit that was tried with the ops-files.
DEPLOYMENT = (
    "https://github.com/cloudfoundry/bosh-deployment"
    "@c3b2109fe48267c599704eaa9aa62a0735a95707"
)
LEAST_DISK, MOST_DISK = 1024, 1 << 24


@dataclass(frozen=True, kw_only=True)
class Settings:
    """
    What a director is to be like.

    @ivar name: the director's.
    @ivar features: some of L{FEATURES}.
    @ivar cidr: the network of its VM, and of others.
    @ivar ip: its address there, or L{None} for a usual one.
    @ivar disk_size: of its persistent disk, in MiB.
    @ivar stemcell: the path or URL of another stemcell than the usual one, or L{None}.
    @ivar stemcell_sha1: its digest, as BOSH writes it; for a URL.
    @ivar ops: further ops-files. @ivar vars: files with variables.
    @ivar manifest: what is used in place of bosh-deployment's C{bosh.yml}, or L{None}.
    @ivar cpi_config: a CPI config for the director, or L{None}.
    @ivar bosh_deployment: a directory, or C{URL@REF}, or L{None} for L{DEPLOYMENT}.
    @ivar bosh_cli: the path of the bosh CLI, or L{None} to find one.
    @ivar offline: a directory that C{fetch} has filled, or L{None} to download.
    @ivar systemd: whether systemd runs the daemon, or L{None} if it does where it can.
    @ivar config: the daemon's configuration, or L{None} for the usual place.
    """

    name: str = "runc"
    features: tuple[str, ...] = ("jumpbox", "dns")
    cidr: str = "10.0.0.0/16"
    ip: str | None = None
    disk_size: int = 16384
    stemcell: str | None = None
    stemcell_sha1: str | None = None
    ops: tuple[str, ...] = ()
    vars: tuple[str, ...] = ()
    manifest: str | None = None
    cpi_config: str | None = None
    bosh_deployment: str | None = None
    bosh_cli: str | None = None
    offline: str | None = None
    systemd: bool | None = None
    config: str | None = None

    @property
    def deployment_source(self) -> str:
        """Where bosh-deployment is: a directory, or C{URL@REF}."""
        return self.bosh_deployment or DEPLOYMENT

    @property
    def vars_files(self) -> list[Path]:
        """The files with variables that are still there."""
        return [path for path in map(Path, self.vars) if path.exists()]

    @property
    def network(self) -> IPv4Network:
        """The network of the director's VM."""
        return IPv4Network(self.cidr)

    @property
    def gateway(self) -> str:
        """The host's address in that network; the daemon listens there."""
        return str(self.network[1])

    @property
    def address(self) -> str:
        """The director's address."""
        return self.ip or str(self.network[OFFSET])

    def with_options(self, options: Mapping[str, Any]) -> Settings:
        """
        Return these settings, but for the options that are given.

        Files are looked up now, as a later command may run elsewhere.

        @param options: by name; L{None} and empty ones are not given, and L{NONE} takes
            back what was given before.
        @raise click.UsageError: naming the option that is no good.
        """
        given = {key: value for key, value in options.items() if value not in (None, ())}
        taken_back = [key for key, value in given.items() if value in (NONE, (NONE,))]
        usual = Settings(features=())
        back = {key: getattr(usual, key) for key in taken_back}
        given = {key: value for key, value in given.items() if key not in back}
        for key in ("ops", "vars"):
            if key in given:
                given[key] = tuple(_file(f"--{key}", path) for path in given[key])
        for key in ("manifest", "cpi_config", "bosh_cli"):
            if key in given:
                given[key] = _file(f"--{key.replace('_', '-')}", given[key])
        for key in ("stemcell", "bosh_deployment", "offline"):
            if key in given and is_path(given[key]):
                given[key] = str(Path(given[key]).absolute())
        changed = replace(self, **back, **given)
        changed._check()
        return changed

    def _check(self) -> None:
        if not NAME.fullmatch(self.name):
            raise click.UsageError(
                f"--name: {self.name!r} is no name of a director: letters, digits, "
                "'-', '_' and '.', 63 at most"
            )
        for feature in self.features:
            if feature not in FEATURES:
                raise click.UsageError(
                    f"--with: {feature!r} is unknown; there are {', '.join(FEATURES)}"
                )
        self._check_network()
        if not LEAST_DISK <= self.disk_size <= MOST_DISK:
            raise click.UsageError(
                f"--disk-size: {self.disk_size} MiB; it must be from {LEAST_DISK} to "
                f"{MOST_DISK}"
            )
        if self.stemcell and not is_path(self.stemcell) and not self.stemcell_sha1:
            raise click.UsageError(
                "--stemcell: a URL takes its digest as well: give --stemcell-sha1"
            )
        if self.stemcell and is_path(self.stemcell):
            _file("--stemcell", self.stemcell)

    def _check_network(self) -> None:
        try:
            network = IPv4Network(self.cidr)
        except (AddressValueError, NetmaskValueError, ValueError):
            raise click.UsageError(
                f"--cidr: {self.cidr!r} is no IPv4 network such as 10.0.0.0/16"
            ) from None
        if network.num_addresses <= OFFSET * 2:
            raise click.UsageError(f"--cidr: {self.cidr} is too small: /28 or larger")
        try:
            address = IPv4Address(self.address)
        except AddressValueError:
            raise click.UsageError(f"--ip: {self.ip!r} is no IPv4 address") from None
        taken = (network[0], network[1], network[-1])
        if address not in network or address in taken:
            raise click.UsageError(
                f"--ip: {address} must be in {network}, and be none of "
                f"{', '.join(map(str, taken))}"
            )

    def to_json(self) -> str:
        """Return what L{from_json} reads."""
        return json.dumps(asdict(self), indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Settings:
        """Read what an earlier command wrote; what it did not know is as usual."""
        known = {field.name for field in fields(cls)}
        values = {key: value for key, value in json.loads(text).items() if key in known}
        for key in ("features", "ops", "vars"):
            values[key] = tuple(values.get(key, ()))
        return cls(**values)


def is_path(text: str) -> bool:
    """Whether a text names something on this host, and is no URL."""
    return "://" not in text


def _file(option: str, path: str) -> str:
    absolute = Path(path).absolute()
    if not absolute.is_file():
        raise click.UsageError(f"{option}: {path}: there is no such file")
    return str(absolute)
