"""Stemcells as BOSH packs them: what is in the file, and how it gets to the daemon."""

from __future__ import annotations

import hashlib
import io
import os
import sys
import tarfile
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any

import click

from runc_cpi.ctl import units
from runc_cpi.ctl.operator import Operator

MANIFEST, IMAGE = "stemcell.MF", "image"
MANIFEST_SIZE = 1 << 20  # bytes at most
Told = Callable[[int], None]


class Rejected(click.ClickException):
    """A file is no stemcell that BOSH would take."""


@dataclass(frozen=True, kw_only=True)
class Packed:
    """
    A stemcell in a file.

    @ivar cloud_properties: those of its manifest.
    @ivar sha1: of its image, or L{None} if the manifest does not tell.
    @ivar size: of its image, in bytes.
    """

    cloud_properties: Mapping[str, Any]
    sha1: str | None
    size: int


def examine(path: Path) -> Packed:
    """
    Read the manifest of a stemcell.

    @raise Rejected: if the file is none.
    """
    manifest, size = None, None
    with _members(path) as members:
        for member, archive in members:
            if member.name.removeprefix("./") == MANIFEST and member.isreg():
                file = archive.extractfile(member)
                manifest = None if file is None else file.read(MANIFEST_SIZE)
            elif member.name.removeprefix("./") == IMAGE and member.isreg():
                size = member.size
            if manifest is not None and size is not None:
                return _packed(path, manifest, size)
    missing = MANIFEST if manifest is None else IMAGE
    raise Rejected(f"{path}: is no stemcell of BOSH: there is no {missing} in it")


def _packed(path: Path, manifest: bytes, size: int) -> Packed:
    import yaml

    try:
        told = yaml.safe_load(manifest)
    except (yaml.YAMLError, UnicodeDecodeError):
        told = None
    properties = told.get("cloud_properties") if isinstance(told, dict) else None
    if not isinstance(properties, dict):
        raise Rejected(f"{path}: its {MANIFEST} tells no cloud_properties")
    # The director passes on what is in there alone.
    named = {key: told[key] for key in ("name", "version") if key in told}
    sha1 = told.get("sha1")
    return Packed(
        cloud_properties={**named, **properties},
        sha1=sha1 if isinstance(sha1, str) else None,
        size=size,
    )


@contextmanager
def _members(path: Path) -> Iterator[Iterator[tuple[tarfile.TarInfo, tarfile.TarFile]]]:
    try:
        with tarfile.open(path, "r:*") as archive:
            yield ((member, archive) for member in archive)
    except (tarfile.TarError, zlib.error, EOFError, OSError) as error:
        reason = getattr(error, "strerror", None) or error
        raise Rejected(f"{path}: {reason}") from None


def upload(operator: Operator, path: Path, stemcell: Packed) -> str:
    """
    Send a stemcell to the daemon.

    @return: its cid.
    @raise Rejected: if the file is broken; the daemon keeps nothing of it then.
    @raise CPIError: if the daemon refuses it.
    """
    properties = dict(stemcell.cloud_properties)
    if "image_reference" in properties:
        answer = operator.ask("FetchStemcell", cloud_properties=properties)
        return answer[b"stemcell_cid"].decode()
    with _image(path) as image, _progress(stemcell.size) as told:
        source: Any = _Checked(image, path, stemcell)
        followed: Any = partial(_Followed, told)
        answer = operator.send_image(source, stemcell.size, properties, followed)
    return answer[b"stemcell_cid"].decode()


@contextmanager
def _image(path: Path) -> Iterator[IO[bytes]]:
    with _members(path) as members:
        for member, archive in members:
            if member.name.removeprefix("./") == IMAGE and member.isreg():
                file = archive.extractfile(member)
                if file is not None:
                    yield file
                    return
    raise Rejected(f"{path}: there is no {IMAGE} in it any more")


class _Checked(io.RawIOBase):
    """Reads an image, which must be the one that the manifest tells."""

    def __init__(self, image: IO[bytes], path: Path, stemcell: Packed) -> None:
        self._image, self._path, self._stemcell = image, path, stemcell
        self.seek(0)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Begin anew; it can go nowhere else."""
        self._count, self._digest = 0, hashlib.sha1(usedforsecurity=False)
        return self._image.seek(offset, whence)

    def read(self, size: int = -1) -> bytes:
        """
        Read the next bytes.

        @raise Rejected: at the end, if what was read is not what the manifest tells.
        """
        data = self._image.read(size)
        self._count += len(data)
        self._digest.update(data)
        if not data:
            self._check()
        return data

    def _check(self) -> None:
        path, stemcell = self._path, self._stemcell
        if self._count != stemcell.size:
            raise Rejected(f"{path}: its image ends early")
        if stemcell.sha1 not in (None, self._digest.hexdigest()):
            raise Rejected(f"{path}: its image is not the one that its {MANIFEST} tells")


class _Followed(io.RawIOBase):
    """
    Reads an image, and says how far it got.

    @param told: is called with the number of bytes so far.
    """

    def __init__(self, told: Told, image: IO[bytes]) -> None:
        self._told, self._image = told, image
        self._count = 0

    def read(self, size: int = -1) -> bytes:
        """Read the next bytes."""
        data = self._image.read(size)
        self._count += len(data)
        self._told(self._count)
        return data


@contextmanager
def _progress(size: int) -> Iterator[Told]:
    """
    Show how much is sent, and how fast; or that nothing was, as the daemon has the image.

    @param size: bytes in all.
    """
    sent = 0

    def told(count: int) -> None:
        nonlocal sent
        sent = count
        show(count)

    with _bar(size) if sys.stderr.isatty() else _line() as show:
        yield told
    if not sent:
        click.echo("nothing was sent: the daemon has this image", err=True)


@contextmanager
def _line() -> Iterator[Told]:
    """Show at the end what was sent."""
    began, sent = 0.0, 0

    def told(count: int) -> None:
        nonlocal began, sent
        began, sent = began or time.monotonic(), count

    yield told
    if sent:
        passed = time.monotonic() - began
        rate = units.size(sent / passed) if passed else units.size(sent)
        click.echo(f"{units.size(sent)} in {units.span(passed)}, {rate} a second", err=True)


@contextmanager
def _bar(size: int) -> Iterator[Told]:
    """Show how far it is, how fast, and how long it will take."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    columns = (
        BarColumn(),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        # What is read for the digest alone is not sent.
        task = progress.add_task("", start=False, visible=False, total=size)

        def told(count: int) -> None:
            if not progress.tasks[0].started:
                progress.start_task(task)
            progress.update(task, completed=count, visible=True)

        yield told
