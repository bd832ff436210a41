"""The images that stemcells are made of, for the benchmark."""

from __future__ import annotations

import gzip
import shutil
import tarfile
from pathlib import Path

from tests.benchmarks.measuring import command
from tests.benchmarks.results import Unusable
from tests.harness import images

COPIES = 10
GZIP = b"\x1f\x8b"
# A stemcell has these first, and its image among them (stemcell.MF).
HEAD = 8


def large_image(image: Path, home: Path) -> Path:
    """
    Make an image of a real stemcell's size from several copies of a small one.

    @param home: an empty directory, which it is made in.
    """
    tree = home / "tree"
    for part in ("", *(f"opt/{number}" for number in range(COPIES))):
        directory = tree / part
        directory.mkdir(parents=True, exist_ok=True)
        command(["tar", "--extract", f"--file={image}", f"--directory={directory}"])
    large = home / "image"
    compress = shutil.which("pigz") or "gzip"
    command(["tar", f"-I{compress}", "-cf", str(large), "-C", str(tree), "."])
    shutil.rmtree(tree)
    return large


def small_image(home: Path) -> Path:
    """
    Make the image of a VM that sleeps, and takes next to nothing.

    @param home: the directory that it is made in.
    """
    busybox = images.take_out(images.bootable("runit"), "./usr/bin/busybox")
    path = home / "small"
    path.write_bytes(gzip.compress(images.tiny(busybox), 1))
    return path


def given_image(path: Path, home: Path) -> Path:
    """
    Return the image of a stemcell's file; it may be the image itself.

    @param home: where it is unpacked to.
    @raise Unusable: if there is no image in it that is compressed by gzip.
    """
    try:
        image = _unpacked(path, home / "given") or path
        if not image.read_bytes()[:2] == GZIP:
            raise Unusable(f"--stemcell: {image.name} in {path} is not compressed by gzip")
    except (OSError, tarfile.TarError) as error:
        raise Unusable(f"--stemcell: {path}: {error}") from None
    return image


def _unpacked(path: Path, target: Path) -> Path | None:
    """Unpack the image of a stemcell, or return L{None} if the file is no stemcell."""
    with tarfile.open(path) as archive:
        for _, member in zip(range(HEAD), archive, strict=False):
            if member.name.removeprefix("./") == "image":
                source = archive.extractfile(member)
                if source is not None:
                    with target.open("wb") as file:
                        shutil.copyfileobj(source, file)
                    return target
    return None


def another(image: Path, home: Path) -> Path:
    """Return an image that holds the same, and is unpacked for itself."""
    return images.another(image, home / "another")
