"""A CA, and certificates for a daemon and its clients."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, timezone
from ipaddress import ip_address
from pathlib import Path

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from runc_cpi.ctl.target import OPERATOR, VIEWER

# Clients go by the alternative names; a common name ends at 64 characters.
SERVER_NAME = "runc-cpid"
# Whom a file is made for that runc-cpictl --cpi takes.
OF_TOOL = (OPERATOR, VIEWER)
# Clocks of hosts differ.
BACKDATED = timedelta(hours=1)
# What files are in before they are whole: beside the directory, or in one that is there.
DRAFT = ".certs.new"


class Authority:
    """
    A certificate authority of its own.

    @param days: how long what it makes is valid.
    """

    def __init__(self, days: int) -> None:
        self._valid = timedelta(days=days)
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name("runc-cpi CA")
        constraints = x509.BasicConstraints(ca=True, path_length=0)
        self.certificate = (
            self._builder(self._name, self._key.public_key())
            .add_extension(constraints, critical=True)
            .add_extension(_usage(signs_certificates=True), critical=True)
            .sign(self._key, hashes.SHA256())
        )

    def issue(self, name: str, hosts: Sequence[str], *, client: bool) -> tuple[str, str]:
        """
        Make a certificate and its private key.

        @param hosts: the DNS names and IP addresses it is for.
        @param client: whether it is for a client; it is for a server otherwise.
        @return: both as PEM.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        purposes = ExtendedKeyUsageOID
        purpose = purposes.CLIENT_AUTH if client else purposes.SERVER_AUTH
        certificate = (
            self._builder(_name(name), key.public_key())
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
            .add_extension(_alternative_names(hosts), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        return _pem(certificate), _private_pem(key)

    @property
    def pem(self) -> str:
        """The CA's certificate."""
        return _pem(self.certificate)

    @property
    def private_pem(self) -> str:
        """The CA's private key."""
        return _private_pem(self._key)

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePublicKey
    ) -> x509.CertificateBuilder:
        now = datetime.now(timezone.utc)
        identifier = x509.SubjectKeyIdentifier.from_public_key(key)
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - BACKDATED)
            .not_valid_after(now + self._valid)
            .add_extension(identifier, critical=False)
            .add_extension(issuer, critical=False)
        )


def write(
    directory: Path,
    hosts: Sequence[str],
    clients: Sequence[str],
    days: int,
    port: int,
) -> list[Path]:
    """
    Make a CA, a server certificate for C{hosts} and one for each of C{clients}.

    There are two more clients: the operator, and the viewer, who may only look.

    @param port: of the daemon, which these two call at the first of C{hosts}.
    @return: the files, among them C{vars.yml} for C{bosh --vars-file}: it holds
        C{runc_cpi_tls} with the CA, and the first client's certificate and key; and
        C{operator.yml} and C{viewer.yml} for C{runc-cpictl --cpi}, with theirs.
    @raise OSError: if they cannot be written, or are there already.
    """
    files = _issue(hosts, clients, days, port)
    place = directory if directory.exists() else directory.parent
    place.mkdir(parents=True, exist_ok=True)
    for name in files:
        if (directory / name).exists():
            path = str(directory / name)
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path)
    draft = place / DRAFT
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(mode=0o700)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    for name, content in files.items():
        fd = os.open(draft / name, flags, 0o644 if name.endswith(".crt") else 0o600)
        with open(fd, "w", encoding="ascii") as file:
            file.write(content)
            file.flush()
            os.fsync(fd)
    _sync(draft)
    if place == directory:
        for name in files:
            os.link(draft / name, directory / name)
        shutil.rmtree(draft)
    else:
        draft.rename(directory)
    _sync(place)
    return [directory / name for name in files]


def names(clients: Sequence[str]) -> list[str]:
    """Return the names of the files that L{write} makes."""
    parties = ["ca", "server", *dict.fromkeys([*clients, *OF_TOOL])]
    pairs = [f"{name}.{kind}" for name in parties for kind in ("crt", "key")]
    return [*pairs, *(f"{name}.yml" for name in OF_TOOL), "vars.yml"]


def _issue(
    hosts: Sequence[str], clients: Sequence[str], days: int, port: int
) -> dict[str, str]:
    """Return what L{write} writes, by name; C{vars.yml} tells that it is complete."""
    authority = Authority(days)
    files = {"ca.crt": authority.pem, "ca.key": authority.private_pem}
    files["server.crt"], files["server.key"] = authority.issue(
        SERVER_NAME, hosts, client=False
    )
    for name in dict.fromkeys([*clients, *OF_TOOL]):
        certificate, key = authority.issue(name, [name], client=True)
        files[f"{name}.crt"], files[f"{name}.key"] = certificate, key
    address = f"[{hosts[0]}]:{port}" if ":" in hosts[0] else f"{hosts[0]}:{port}"
    for name in OF_TOOL:
        tls = _section(files, name)
        calling = {"network_type": "tcp", "address": address, "tls": tls}
        files[f"{name}.yml"] = yaml.safe_dump(calling, default_style="|")
    variables = {"runc_cpi_tls": _section(files, clients[0])}
    files["vars.yml"] = yaml.safe_dump(variables, default_style="|")
    return files


def end(directory: Path) -> datetime:
    """
    Return when the server certificate there ends, as all do that were made with it.

    @raise ValueError: if it is no certificate.
    """
    return _server_certificate(directory).not_valid_after_utc


def hosts_of(directory: Path) -> list[str]:
    """
    Return the names and addresses that a server certificate there is for.

    @raise ValueError: if it is no certificate, or does not say.
    """
    extensions = _server_certificate(directory).extensions
    try:
        extension = extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound as error:
        raise ValueError(str(error)) from None
    return [str(name.value) for name in extension.value]


def _server_certificate(directory: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate((directory / "server.crt").read_bytes())


def _sync(directory: Path) -> None:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _section(files: Mapping[str, str], client: str) -> dict[str, str]:
    return {
        "ca": files["ca.crt"],
        "certificate": files[f"{client}.crt"],
        "private_key": files[f"{client}.key"],
    }


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _alternative_names(hosts: Sequence[str]) -> x509.SubjectAlternativeName:
    names: list[x509.GeneralName] = []
    for host in hosts:
        try:
            names.append(x509.IPAddress(ip_address(host)))
        except ValueError:
            names.append(x509.DNSName(host))
    return x509.SubjectAlternativeName(names)


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode("ascii")


def _private_pem(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode("ascii")
