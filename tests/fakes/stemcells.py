"""Fakes of what stemcells ask of the host: an archiver, and a source of OCI images."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path
from typing import Any

from zope.interface import implementer
from zope.interface.verify import verifyObject

from runc_cpi.daemon.stemcells.content import Content
from runc_cpi.daemon.stemcells.image_reference import ImageReference
from runc_cpi.daemon.stemcells.interfaces import IArchiver, IImages, IUpload
from runc_cpi.errors import StemcellRejected
from tests.fakes.script import Script

DIGEST = "sha256:" + "d" * 64
# The image that each file and each upload is taken for.
IMAGE = Content("sha256:" + "a" * 64, 4096)


@implementer(IUpload)
class FakeUpload:
    """
    An upload whose bytes mean nothing.

    @ivar written: what was written, in order.
    """

    def __init__(self, script: Script, target: Path) -> None:
        self._script, self._target = script, target
        self.written = b""

    def write(self, data: bytes) -> Any:
        """Keep the bytes."""
        self.written += data
        return self._script.act("write")

    def finish(self) -> Any:
        """Unpack the same small stemcell whatever was written."""
        _unpack(self._target)
        return self._script.act("finish", IMAGE)

    def abort(self) -> Any:
        """Stop nothing."""
        return self._script.act("abort")


@implementer(IArchiver)
class FakeArchiver:
    """
    Unpacks each image to the same small stemcell.

    @ivar uploads: those that were begun.
    """

    def __init__(self, script: Script) -> None:
        self._script = script
        self.uploads: list[FakeUpload] = []

    def open(self, target: Path) -> FakeUpload:
        """Begin an upload."""
        upload = FakeUpload(self._script, target)
        self.uploads.append(upload)
        return upload

    def identify(self, image: int, sizes: Collection[int]) -> Any:
        """Take each file for the same image."""
        os.fstat(image)
        return self._script.act("identify", IMAGE if IMAGE.size in sizes else None)

    def unpack(self, image: int, target: Path) -> Any:
        """Unpack the same small stemcell without reading the image."""
        os.fstat(image)
        _unpack(target)
        return self._script.act("unpack", IMAGE)


def _unpack(target: Path) -> None:
    program = target / "usr/sbin/runsvdir-start"
    program.parent.mkdir(parents=True)
    program.touch()
    program.chmod(0o755)


@implementer(IImages)
class FakeImages:
    """
    Has one image, by whatever reference it is asked for.

    @ivar digest: of its manifest.
    @ivar program: what is to boot it, or L{None} for an image without anything.
    """

    def __init__(self, script: Script) -> None:
        self._script = script
        self.digest = DIGEST
        self.program: str | None = "usr/sbin/runsvdir-start"

    def fetch(self, image: ImageReference, scratch: Path) -> Any:
        """Copy something to C{scratch}."""
        if image.digest not in (None, self.digest):
            raise StemcellRejected(f"{image.text} has the digest {self.digest}")
        (scratch / "oci").mkdir()
        return self._script.act("fetch", self.digest)

    def unpack(self, scratch: Path, target: Path) -> Any:
        """Unpack a root file system with C{program} in it."""
        assert (scratch / "oci").is_dir()
        target.mkdir()
        if self.program is not None:
            program = target / self.program
            program.parent.mkdir(parents=True)
            program.touch()
            program.chmod(0o755)
        return self._script.act("unpack")


verifyObject(IArchiver, FakeArchiver(Script()))
verifyObject(IUpload, FakeUpload(Script(), Path()))
verifyObject(IImages, FakeImages(Script()))
