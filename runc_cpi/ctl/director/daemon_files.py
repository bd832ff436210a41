"""The daemon's configuration and certificates, as a director takes them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path

import click
import yaml

from runc_cpi.ctl.director.directory import write_whole
from runc_cpi.ctl.director.settings import Settings
from runc_cpi.daemon.config import (
    ConfigError,
    DaemonConfig,
    TCPAddress,
    load,
)

# The ops-files have it.
PORT = 9999
DAYS = 3650
# Made anew is what ends sooner than this.
SOON = timedelta(days=30)
CERTIFICATES = "certs"
CLIENTS = ("director",)
VARIABLES = "vars.yml"
# The first line of a file that is ours to change and to remove.
MARK = "# Written by runc-cpictl director, and changed by it again.\n"


@dataclass(frozen=True)
class DaemonFiles:
    """
    Where the daemon's configuration is, and its certificates beside it.

    @ivar config: the configuration.
    """

    config: Path

    @property
    def certificates(self) -> Path:
        """The directory of certificates that we make."""
        return self.config.parent / CERTIFICATES

    @property
    def are_ours(self) -> bool:
        """Whether we have written the configuration."""
        try:
            return self.config.read_text("utf-8").startswith(MARK)
        except FileNotFoundError:
            return False

    @property
    def _will_be_ours(self) -> bool:
        return self.are_ours or not self.config.exists()

    def make_certificates(self, settings: Settings) -> bool:
        """
        Make the certificates of a configuration of ours, unless good ones are there.

        @return: whether they were made now.
        """
        if not self.are_ours:
            return False
        from runc_cpi.ctl import certificates

        if self._are_complete() and self._are_good(settings):
            return False
        self._remove_certificates()
        hosts = [settings.gateway, "localhost", "127.0.0.1", "::1"]
        certificates.write(self.certificates, hosts, CLIENTS, DAYS, PORT)
        return True

    def _are_complete(self) -> bool:
        variables, server = (self.certificates / n for n in (VARIABLES, "server.crt"))
        return all(path.exists() and path.stat().st_size for path in (variables, server))

    def _are_good(self, settings: Settings) -> bool:
        """Whether the certificates can be read, are for this network, and last."""
        from runc_cpi.ctl import certificates

        now = datetime.now(timezone.utc)
        try:
            lasts = certificates.end(self.certificates) - now > SOON
            return lasts and settings.gateway in certificates.hosts_of(self.certificates)
        except ValueError:
            return False

    def _refuse_others(self) -> None:
        """Refuse to take the place of certificates that we have not made."""
        if self.certificates.is_dir() and any(self.certificates.iterdir()):
            raise click.ClickException(
                f"{self.certificates} has certificates that are not ours, as {self.config} "
                "is not there: move them away, or write the configuration that has them"
            )

    def _remove_certificates(self) -> None:
        """Remove the certificates that we make; other files beside them stay."""
        from runc_cpi.ctl import certificates

        for name in certificates.names(CLIENTS):
            (self.certificates / name).unlink(missing_ok=True)
        if self.certificates.is_dir() and not any(self.certificates.iterdir()):
            self.certificates.rmdir()

    def write(self, settings: Settings) -> bool:
        """
        Write the configuration, unless it is there.

        It comes before the certificates, as it tells that they are ours.

        @return: whether it was written now.
        @raise click.ClickException: if certificates of others are where ours would be.
        """
        if not self._will_be_ours:
            return False
        if not self.are_ours:
            self._refuse_others()
        text = MARK + yaml.safe_dump(self._values(settings), sort_keys=False)
        if self.config.exists() and self.config.read_text("utf-8") == text:
            return False
        self.config.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_whole(self.config, text, 0o600)
        return True

    def _values(self, settings: Settings) -> dict[str, object]:
        kept: dict[str, object] = {}
        if self.config.exists():
            # What the operator has added to ours stays.
            kept = yaml.safe_load(self.config.read_text("utf-8")) or {}
        return {
            "work_dir": "/var/lib/runc-cpid",
            **kept,
            "network_type": "tcp",
            "address": f"{settings.gateway}:{PORT}",
            "cidr": settings.cidr,
            "gateway": settings.gateway,
            "tls": str(self.certificates),
        }

    def parse(self, settings: Settings) -> DaemonConfig:
        """
        Return the configuration as it is, or as it will be written.

        @raise click.ClickException: if it is wrong, or no director can use it.
        """
        try:
            if not self._will_be_ours:
                config = load(self.config)
            else:
                config = DaemonConfig.parse(self._values(settings))
        except ConfigError as error:
            raise click.ClickException(str(error)) from None
        self._check(settings, config)
        return config

    def _check(self, settings: Settings, config: DaemonConfig) -> None:
        address = config.address
        if not isinstance(address, TCPAddress) or address.port != PORT:
            raise click.ClickException(
                f"{self.config}: address is {address}; the director's VM calls port "
                f"{PORT}: set network_type: tcp and address: 0.0.0.0:{PORT}, with tls"
            )
        cidrs = [str(network.cidr) for network in config.networks]
        if settings.cidr not in cidrs:
            raise click.ClickException(
                f"--cidr: {settings.cidr} is no network of the daemon, which has "
                f"{', '.join(cidrs)} ({self.config})"
            )

    def tls_variables(self, config: DaemonConfig) -> Path | None:
        """
        Return the file with the CPI's certificate, or L{None} without TLS.

        @raise click.ClickException: if there should be one and is not.
        """
        if config.tls is None:
            return None
        path = Path(config.tls.certificate).parent / VARIABLES
        if not path.exists() and not self._will_be_ours:
            raise click.ClickException(
                f"{path}: the daemon wants TLS, and there is no such file, as runc-cpictl "
                "certs makes it, beside its certificate"
            )
        return path

    def remove(self) -> bool:
        """
        Remove what is ours.

        @return: whether it was.
        """
        if not self.are_ours:
            return False
        self._remove_certificates()
        self.config.unlink()
        if not any(self.config.parent.iterdir()):
            self.config.parent.rmdir()
        return True
