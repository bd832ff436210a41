"""Formats of images: tar archives, plain or compressed, told by their first bytes."""

from __future__ import annotations

import shutil
from collections.abc import Sequence

from runc_cpi.errors import StemcellRejected

# The first bytes of a format, and the programs that decompress it, the fastest first.
DECOMPRESSORS: tuple[tuple[bytes, tuple[tuple[str, ...], ...]], ...] = (
    (b"\x1f\x8b", (("igzip", "-dc"), ("pigz", "-dc"), ("gzip", "-dc"))),
    (b"\x28\xb5\x2f\xfd", (("zstd", "-dcq"),)),
    (b"\xfd7zXZ\x00", (("xz", "-dc"),)),
    (b"BZh", (("bzip2", "-dc"),)),
)
TAR_MAGIC = b"ustar"
TAR_MAGIC_AT = 257  # bytes from the beginning (tar(5))

# What stemcells for virtual machines hold: where its mark is, the mark, and its name.
DISK_IMAGES = (
    (0, b"QFI\xfb", "a qcow2 disk image"),
    (0, b"KDMV", "a VMDK disk image"),
    (0, b"conectix", "a VHD disk image"),
    (510, b"\x55\xaa", "a raw disk image"),
)
STEMCELLS_FOR_CONTAINERS = "stemcells for containers have warden-boshlite in their names"


def decompressor_for(header: bytes) -> Sequence[str] | None:
    """
    Choose the program that decompresses an image.

    @param header: the first C{reading.HEADER_SIZE} bytes of the image, or all of a
        shorter one.
    @return: an argument list, or L{None} for a plain tar archive.
    @raise StemcellRejected: if the format is none of these, or its program is missing.
    """
    for magic, programs in DECOMPRESSORS:
        if header.startswith(magic):
            for argv in programs:
                if shutil.which(argv[0]):
                    return argv
            wanted = " or ".join(argv[0] for argv in programs)
            raise StemcellRejected(f"the image needs {wanted}, not installed here")
    if header[TAR_MAGIC_AT:].startswith(TAR_MAGIC):
        return None
    for at, magic, name in DISK_IMAGES:
        if header[at:].startswith(magic):
            raise StemcellRejected(
                f"the image is {name}, for virtual machines; {STEMCELLS_FOR_CONTAINERS}"
            )
    begins = header[:8].hex(" ") or (
        "nothing: it is empty; a light stemcell names its image in image_reference"
    )
    raise StemcellRejected(
        "the image is no tar archive, plain or compressed by gzip, zstd, xz or bzip2; "
        f"it begins with {begins}"
    )
