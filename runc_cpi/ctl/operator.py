"""Whom a command works for: where the daemon is, and how answers are to be shown."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from threading import Timer
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

import click

from runc_cpi import wire
from runc_cpi.cpi import config as cpi_config
from runc_cpi.cpi import images
from runc_cpi.cpi.client import Client
from runc_cpi.errors import CloudError, InvalidArgument
from runc_cpi.json_text import loads_trusted

if TYPE_CHECKING:
    from runc_cpi.daemon.config import DaemonConfig

DEFAULT_CONFIG = "/etc/runc-cpid/config.yml"
FORMATS = ("table", "json", "yaml")

Function = TypeVar("Function", bound=Callable[..., Any])


class Operator:
    """
    What the options say that all commands share.

    @ivar config_file: the daemon's configuration.
    @ivar cpi_file: a CPI's configuration to reach the daemon with, or L{None}.
    @ivar output: one of L{FORMATS}.
    @ivar patience: how long to wait for an answer before that is said, in seconds.
    """

    config_file = DEFAULT_CONFIG
    cpi_file: str | None = None
    output = "table"
    patience = 3.0

    @cached_property
    def config(self) -> DaemonConfig:
        """
        The daemon's configuration.  Without a file at the usual place it is all defaults.

        @raise click.UsageError: naming what is wrong with it.
        """
        from runc_cpi.daemon.config import ConfigError, DaemonConfig, load

        path = Path(self.config_file)
        try:
            if self.config_file == DEFAULT_CONFIG and _is_missing(path):
                return DaemonConfig.parse(None)
            return load(path)
        except ConfigError as error:
            raise click.UsageError(str(error)) from None

    @cached_property
    def _client(self) -> Client:
        if self.cpi_file is not None:
            try:
                return Client(cpi_config.load(self.cpi_file, {}), "")
            except InvalidArgument as error:
                raise click.UsageError(str(error)) from None
        from runc_cpi.ctl.target import of_daemon

        return Client(of_daemon(self.config), "")

    def ask(self, command: str, **arguments: Any) -> dict[bytes, bytes]:
        """
        Have the daemon carry out a command of AMP.

        @return: its answer, in which objects and lists are JSON.
        @raise click.UsageError: if it is not known where the daemon is.
        @raise CPIError: if the daemon refuses, or cannot be reached.
        """
        with _patience(self.patience):
            return self._client.call(command, **arguments)

    def send_image(
        self,
        image: BinaryIO,
        size: int,
        cloud_properties: Any,
        followed: Callable[[BinaryIO], BinaryIO],
    ) -> dict[bytes, bytes]:
        """
        Have the daemon make a stemcell, as L{images.send} does.

        @raise CPIError: if the daemon refuses, or cannot be reached.
        """
        return images.send(self._client, image, size, cloud_properties, followed)

    def ask_for(self, command: str, *keys: str, **arguments: Any) -> list[Any]:
        """
        Have the daemon tell something.

        @param keys: where it is in the answer.
        @param arguments: those of the command.
        @return: what is there, in the order of C{keys}.
        @raise click.UsageError: if it is not known where the daemon is.
        @raise CPIError: if the daemon refuses, or cannot be reached.
        """
        answer = self.ask(command, **arguments)
        return [_value(answer, key) for key in keys]

    def show(self, answer: Mapping[str, Any], shown: Callable[[], None]) -> None:
        """
        Print an answer as the operator wants it.

        @param shown: prints it for people.
        """
        if self.output == "json":
            click.echo(json.dumps(answer))
        elif self.output == "yaml":
            import yaml

            click.echo(yaml.safe_dump(answer, sort_keys=False), nl=False)
        else:
            shown()


def _is_missing(path: Path) -> bool:
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        pass  # whoever reads it says why that cannot be
    return False


@contextmanager
def _patience(seconds: float) -> Iterator[None]:
    """Say at a terminal that an answer is waited for, once that takes long."""
    text = "waiting for runc-cpid to answer ..."
    saying = Timer(seconds, click.echo, [text], {"err": True})
    saying.daemon = True
    if sys.stderr.isatty():
        saying.start()
    try:
        yield
    finally:
        saying.cancel()


def _value(answer: dict[bytes, bytes], key: str) -> Any:
    text = wire.join(key.encode("ascii"), answer)
    if text is None:
        raise CloudError(f"runc-cpid does not tell {key}; is it of another version?")
    return loads_trusted(text)


def output_option(function: Function) -> Function:
    """Give a command the option C{--output}."""
    return click.option(
        "-o",
        "--output",
        type=click.Choice(FORMATS),
        expose_value=False,
        callback=_choose,
        help="How to print what is found.  [default: table]",
    )(function)


def _choose(ctx: click.Context, _: click.Parameter, value: str | None) -> None:
    if value is not None:
        ctx.ensure_object(Operator).output = value
