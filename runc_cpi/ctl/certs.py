"""C{runc-cpictl certs}: what mutual TLS takes."""

from __future__ import annotations

import re
from pathlib import Path

import click

NAME = re.compile(r"[A-Za-z0-9:*][A-Za-z0-9.:_-]{0,63}")
# The daemon is called by these on its own host.
OWN_HOST = ("localhost", "127.0.0.1", "::1")
# The files of these have names of their own.
RESERVED = ("ca", "server", "vars")
DAYS, MOST_DAYS = 3650, 36500


class Name(click.ParamType[str]):
    """A name or IP address of a certificate; it can become the name of a file."""

    name = "name"

    def convert(
        self, value: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        """Return a name that can be used, or end with a usage error."""
        if not NAME.fullmatch(value):
            self.fail(f"{value!r} is no name or IP address", param, ctx)
        return value


@click.command()
@click.argument("directory", type=click.Path(path_type=Path))
@click.option(
    "--host",
    "hosts",
    type=Name(),
    multiple=True,
    required=True,
    metavar="NAME_OR_IP",
    help="What the daemon is reached by, once for each name and address.",
)
@click.option(
    "--client",
    "clients",
    type=Name(),
    multiple=True,
    default=("director",),
    show_default=True,
    help="Whom to make a certificate for, once for each.",
)
@click.option(
    "--days",
    type=click.IntRange(1, MOST_DAYS),
    default=DAYS,
    show_default=True,
    help="How long they are valid.",
)
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    default=9999,
    show_default=True,
    help="The daemon's port, for operator.yml and viewer.yml.",
)
def certs(
    directory: Path, hosts: tuple[str, ...], clients: tuple[str, ...], days: int, port: int
) -> None:
    """
    Make a CA, and certificates for a daemon and its clients, in DIRECTORY.

    That is all that mutual TLS takes: a certificate for a daemon that is reached by the
    names and addresses given, and from its own host; one for each client; one for the
    operator; and one for the viewer, who may only look.  The daemon's configuration takes
    the directory as it is, with "tls: DIRECTORY", and there runc-cpictl finds the
    operator's certificate.  vars.yml is for bosh --vars-file; operator.yml and viewer.yml
    are for runc-cpictl --cpi on another machine.
    """
    for name in clients:
        if name in RESERVED or clients.count(name) > 1:
            raise click.UsageError(f"--client: {name} is taken: it names files")
    from runc_cpi.ctl import certificates

    names = list(dict.fromkeys([*hosts, *OWN_HOST]))
    try:
        written = certificates.write(directory, names, clients, days, port)
    except FileExistsError as error:
        message = f"{error.filename}: is there already; remove it first"
        raise click.ClickException(message) from None
    except OSError as error:
        raise click.ClickException(f"{directory}: {error.strerror}") from None
    for path in written:
        click.echo(path)
