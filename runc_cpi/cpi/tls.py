"""The executable's side of mutual TLS; imported only when it is configured."""

from __future__ import annotations

from runc_cpi.cpi import encrypted
from runc_cpi.cpi.encrypted import ssl
from runc_cpi.errors import InvalidArgument, TLSRejected

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from typing import Any, Dict
else:
    # All that a call with TLS would import os for; that takes a tenth of Python's start.
    try:
        import posix as os
    except ImportError:
        import os

PEM = "-----BEGIN "
# Why a daemon refuses a certificate, by OpenSSL's names of the alerts.
ALERTS = {
    "CERTIFICATE_REQUIRED": "it wants a client certificate, and tls.certificate is not set",
    "UNSUPPORTED_CERTIFICATE": "it is not one for clients",
    "UNKNOWN_CA": "it does not know the CA that signed it",
    "DECRYPT_ERROR": "another CA of the same name signed it",
    "CERTIFICATE_EXPIRED": "it has expired",
    "BAD_CERTIFICATE": "it is not acceptable, or its name is not in tls.allowed_clients",
    "INTERNAL_ERROR": "its name is not in tls.allowed_clients",
    "HANDSHAKE_FAILURE": "no certificate, or none that it accepts",
}
NO_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE")


def wrap(connection: Any, host: str, config: Dict[str, Any]) -> Any:
    """
    Speak TLS over a connection, and see that it is the daemon at its end.

    @param host: the name or IP address that its certificate must be for.
    @param config: C{ca}, C{certificate} and C{private_key}: PEM, or paths of files.
    @raise InvalidArgument: if one of them is no good.
    @raise TLSRejected: if either side does not accept the other.
    @raise EOFError: if the other side hangs up without a word; it takes no calls from
        here, or is about to end.
    @raise OSError: if it is lost.
    """
    context = _context(config)
    try:
        return encrypted.begin(context, connection, host)
    except ssl.SSLError as error:
        raise explain(error) from None


def explain(error: ssl.SSLError) -> TLSRejected:
    """Say which side rejected what, and why."""
    if isinstance(error, ssl.SSLCertVerificationError):
        why = error.verify_message
        return TLSRejected(f"the certificate of runc-cpid is not accepted: {why}")
    return rejection(error.reason or str(error))


def rejection(reason: str) -> TLSRejected:
    """
    Say which side rejected what, and why.

    @param reason: as OpenSSL has it.
    """
    named = reason.upper().replace(" ", "_")
    for name, why in ALERTS.items():
        if named.endswith(name):
            return TLSRejected(f"runc-cpid does not accept the client certificate: {why}")
    if named == "CERTIFICATE_VERIFY_FAILED":
        return TLSRejected(
            "the certificate of runc-cpid is not accepted: it has expired, is none for a "
            "server, or tls.ca did not sign it"
        )
    if named in NO_TLS:
        return TLSRejected(
            "what answers at this address speaks no TLS; is tls set in runc-cpid's "
            "configuration?"
        )
    return TLSRejected(f"TLS with runc-cpid failed: {reason}")


def _context(config: Dict[str, Any]) -> Any:
    context, ca = encrypted.client_context(), config["ca"]
    try:
        if ca.startswith(PEM):
            context.load_verify_locations(cadata=ca)
        else:
            context.load_verify_locations(cafile=ca)
    except (ssl.SSLError, OSError) as error:
        raise InvalidArgument(f"tls.ca: {_what(error)}") from None
    if config.get("certificate") is not None:
        certificate, private_key = config["certificate"], config["private_key"]
        try:
            with _Readable(certificate) as first, _Readable(private_key) as second:
                context.load_cert_chain(first, second)
        except (ssl.SSLError, OSError) as error:
            text = f"tls.certificate, tls.private_key: {_what(error)}"
            raise InvalidArgument(text) from None
    return context


class _Readable:
    """A path that OpenSSL can read a key from; PEM is put into a temporary file."""

    def __init__(self, value: str) -> None:
        self._value = value

    def __enter__(self) -> str:
        self._fd = -1
        self._path = self._value
        if self._value.startswith(PEM):
            if hasattr(os, "memfd_create"):
                self._fd = os.memfd_create("pem")
                self._path = f"/proc/self/fd/{self._fd}"
            else:
                self._fd, self._path = _temporary()
            os.write(self._fd, self._value.encode("ascii", "replace"))
        return self._path

    def __exit__(self, *exception: Any) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            if not self._path.startswith("/proc/"):
                os.unlink(self._path)


def _temporary() -> Any:
    """Make a file that only this user can read, on systems without memfd_create."""
    from os import environ

    directory = environ.get("TMPDIR") or "/tmp"
    path = f"{directory}/runc-cpi-{os.urandom(12).hex()}.pem"
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), path


def _what(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return "no usable PEM"
    return error.strerror or str(error)
