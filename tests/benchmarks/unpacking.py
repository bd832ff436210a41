"""
C{python -m tests.benchmarks.unpacking [ROUNDS]}: what it takes to make a stemcell.

All is done on a file system of its own, with a journal, so that a sync waits for nothing
else.  In each round all unpack the same new image, in turns, and nothing is removed before
the end.  Before each turn what was written is on the disk.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import median

from runc_cpi.daemon.host.images.formats import decompressor_for
from runc_cpi.daemon.host.images.pipeline import TAR
from runc_cpi.daemon.host.images.reading import HEADER_SIZE
from tests.benchmarks.encryption import encrypted
from tests.benchmarks.image_files import large_image
from tests.benchmarks.measuring import Row, command, layout, timed
from tests.harness import images, netns
from tests.harness.daemon import Daemon
from tests.harness.lab import Lab

ROUNDS = 5
SIZE = 16 << 30  # bytes
BARE = "decompressor | tar, sync"
HASH = "sha256sum"


@contextmanager
def file_system(size: int) -> Iterator[Path]:
    """Make a file system, and remove it at the end."""
    place = Path(tempfile.mkdtemp(prefix="cpi"))
    disk, root = place / "disk", place / "fs"
    try:
        with disk.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, size)
        options = "lazy_itable_init=0,lazy_journal_init=0"
        command(["mkfs.ext4", "-q", "-O", "has_journal", "-E", options, str(disk)])
        root.mkdir()
        command(["mount", "-o", "loop", str(disk), str(root)])
        try:
            yield root
        finally:
            command(["umount", str(root)])
            root.rmdir()
    finally:
        disk.unlink()
        place.rmdir()


def unpack(image: Path, target: Path) -> None:
    """Unpack an image by bare tools, with the decompressor that the daemon chooses."""
    with image.open("rb") as source:
        decompressor = decompressor_for(os.pread(source.fileno(), HEADER_SIZE, 0))
        assert decompressor is not None
        head = subprocess.Popen(decompressor, stdin=source, stdout=subprocess.PIPE)
    tar = [*TAR, f"--directory={target}"]
    subprocess.run(tar, stdin=head.stdout, stdout=subprocess.DEVNULL, check=True)
    assert head.wait() == 0
    command(["sync", "--file-system", str(target)])


def measured(
    image: Path, rounds: int, daemons: Mapping[str, Daemon], home: Path
) -> list[Row]:
    """
    Measure what a new image takes, and what it takes again.

    @param daemons: by the way in which images come to them.
    """
    took: dict[str, list[float]] = {}

    def measure(what: str, work: Callable[..., object], *arguments: object) -> None:
        command(["sync", "--file-system", str(home)])
        took.setdefault(what, []).append(timed(partial(work, *arguments)))

    for number in range(rounds):
        new = images.another(image, home / "new", number)
        target = home / f"bare-{number}"
        target.mkdir()
        measure(BARE, unpack, new, target)
        for way, daemon in daemons.items():
            measure(way, daemon.create_stemcell, new)
        measure(HASH, command, ["sha256sum", str(new)])
        for way, daemon in daemons.items():
            measure(f"{way}, again", daemon.create_stemcell, new)

    def row(what: str, against: str, aim: str = "") -> Row:
        pairs = zip(took[what], took[against], strict=True)
        ratio = median(one / other for one, other in pairs)
        return Row(what, median(took[what]), against, ratio, aim, _extremes(took[what]))

    return [
        Row(BARE, median(took[BARE]), extremes=_extremes(took[BARE])),
        *(row(way, BARE, "1.05") for way in daemons),
        Row(HASH, median(took[HASH]), extremes=_extremes(took[HASH])),
        *(row(f"{way}, again", HASH, "300 ms") for way in daemons),
    ]


def _extremes(values: list[float]) -> tuple[float, float]:
    return min(values), max(values)


def unpacking(
    small: Path, rounds: int, size: int = SIZE, *, large: bool = True
) -> list[Row]:
    """
    Measure.

    @param small: an image.
    @param size: of the file system, in bytes.
    @param large: whether to unpack an image of a real stemcell's size.
    """
    with file_system(size) as root:
        lab = Lab(root)
        try:
            place = lab.home / "bare"
            place.mkdir()
            with lab.daemons() as new_daemon:
                daemons = {
                    "create_stemcell, file passed": new_daemon().start(),
                    "streamed by tcp": new_daemon(network_type="tcp").start(),
                    "streamed by TLS": encrypted(new_daemon),
                }
                image = large_image(small, place) if large else small
                return measured(image, rounds, daemons, place)
        finally:
            lab.close()


def main() -> None:
    """Measure and print."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    small = images.bootable("systemd")
    netns.enter()
    print(layout(unpacking(small, rounds)))


if __name__ == "__main__":
    main()
