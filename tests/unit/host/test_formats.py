"""The program that decompresses an image is chosen by the first bytes of the image."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from runc_cpi.daemon.host.images.formats import decompressor_for
from runc_cpi.daemon.host.images.reading import HEADER_SIZE
from runc_cpi.errors import StemcellRejected

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Return a function that has only the named programs installed."""

    def only(*names: str) -> None:
        for name in names:
            (tmp_path / name).touch(mode=0o755)
        monkeypatch.setenv("PATH", str(tmp_path))

    return only


def tar() -> bytes:
    """Return a plain tar archive."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("etc"))
    return raw.getvalue()


@pytest.mark.parametrize(
    ("installed", "chosen"),
    [
        (("igzip", "pigz", "gzip"), "igzip"),
        (("pigz", "gzip"), "pigz"),
        (("gzip",), "gzip"),
    ],
)
def test_the_fastest_that_is_there(
    install: Install, installed: tuple[str, ...], chosen: str
) -> None:
    """Of the programs that read gzip, the fastest that is installed is chosen."""
    install(*installed)
    argv = decompressor_for(gzip.compress(tar())[:HEADER_SIZE])
    assert argv == (chosen, "-dc")


@pytest.mark.parametrize(
    ("image", "program"),
    [
        (b"\x28\xb5\x2f\xfd" + b"rest of a frame", "zstd"),
        (lzma.compress(tar()), "xz"),
        (bz2.compress(tar()), "bzip2"),
    ],
)
def test_other_compressions(install: Install, image: bytes, program: str) -> None:
    """The programs for zstd, xz and bzip2 are chosen by their first bytes."""
    install("gzip", "zstd", "xz", "bzip2")
    argv = decompressor_for(image[:HEADER_SIZE])
    assert argv is not None
    assert argv[0] == program


def test_a_plain_archive(install: Install) -> None:
    """A plain tar archive needs no decompressor."""
    install()
    assert decompressor_for(tar()[:HEADER_SIZE]) is None


@pytest.mark.parametrize(
    ("image", "programs"),
    [(gzip.compress(b"x"), "igzip or pigz or gzip"), (lzma.compress(b"x"), "xz")],
    ids=["gzip", "xz"],
)
def test_a_missing_program_is_named(install: Install, image: bytes, programs: str) -> None:
    """The error names the programs of which the operator has to install one."""
    install()
    with pytest.raises(StemcellRejected, match=f"needs {programs}, not installed here"):
        decompressor_for(image)


@pytest.mark.parametrize(
    ("image", "name"),
    [
        (b"QFI\xfb" + bytes(508), "a qcow2 disk image"),
        (b"KDMV" + bytes(508), "a VMDK disk image"),
        (b"conectix" + bytes(504), "a VHD disk image"),
        (bytes(510) + b"\x55\xaa", "a raw disk image"),
    ],
)
def test_images_for_virtual_machines(image: bytes, name: str) -> None:
    """An image of another kind of stemcell is refused by name."""
    with pytest.raises(StemcellRejected, match=f"^the image is {name}, for virtual"):
        decompressor_for(image)


@pytest.mark.parametrize(
    ("image", "begins"),
    [
        (b"", "nothing: it is empty"),
        (b"\x00" * 512, "00 00 00 00 00 00 00 00"),
        (b"PK\x03\x04" + b"z" * 508, "50 4b 03 04"),
        (b"\x1f", "1f"),
        (b"x" * 257 + b"usta", "78 78"),
    ],
)
def test_what_is_no_archive(image: bytes, begins: str) -> None:
    """The error says what is accepted, and how the image begins."""
    with pytest.raises(StemcellRejected, match=f"no tar archive.*begins with {begins}"):
        decompressor_for(image)
