"""Certificates as the configuration names them: PEM, or the path of a file of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from runc_cpi.daemon.config.checks import PEM, ConfigError

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

    from runc_cpi.daemon.config.daemon import DaemonConfig


def named_in(config: DaemonConfig) -> Iterator[tuple[str, str]]:
    """Return the certificates that a configuration names, each after its key."""
    of_http = None if config.http is None else config.http.tls
    for key, tls in (("tls", config.tls), ("http.tls", of_http)):
        if tls is not None:
            yield f"{key}.certificate", tls.certificate
            yield f"{key}.ca", tls.ca


def certificates(key: str, value: str) -> list[Certificate]:
    """
    Read certificates.

    @param key: of the configuration, which names them.
    @raise ConfigError: if there are none.
    """
    # It takes as long to import as all the rest of the configuration.
    from cryptography.x509 import load_pem_x509_certificates

    try:
        return load_pem_x509_certificates(pem(key, value))
    except ValueError:
        raise ConfigError(f"{key}: holds no PEM certificate") from None


def pem(key: str, value: str) -> bytes:
    """
    Return what the configuration names, as PEM.

    @param key: of the configuration.
    @raise ConfigError: if the file cannot be read.
    """
    if value.startswith(PEM):
        return value.encode("utf-8")
    try:
        with open(value, "rb") as file:
            return file.read()
    except OSError as error:
        raise ConfigError(f"{key}: {value}: {error.strerror}") from None
