"""
C{python -m tests.benchmarks.unpacking [ROUNDS]}: what it takes to make a stemcell.

It measures the same as C{operations/benchmark --only create_stemcell}, on a file system of
its own, with a journal, so that a sync waits for nothing else.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median

from tests.benchmarks.calls.rounds import FEWER, Bench, Failed
from tests.benchmarks.calls.stemcells import Stemcells
from tests.benchmarks.contenders import Ours, Refused
from tests.benchmarks.image_files import large_image
from tests.benchmarks.measuring import Row, command, layout
from tests.benchmarks.results import BARE, OURS, Results, Unusable, aim_of
from tests.benchmarks.subjects import BY_NAME
from tests.harness import images, netns
from tests.harness.lab import Lab

ROUNDS = 5
SIZE = 16 << 30  # bytes


@contextmanager
def file_system(place: Path, size: int) -> Iterator[Path]:
    """
    Make a file system, and remove it at the end.

    @param place: the directory that it is made in. @param size: in bytes.
    @raise Unusable: if there is no room for it.
    """
    free = shutil.disk_usage(place).free
    if free < size:
        wanted, found = (f"{number >> 20:,} MiB" for number in (size, free))
        raise Unusable(f"{place}: the file system takes {wanted}, but {found} are free")
    disk, root = place / "disk", place / "fs"
    with ExitStack() as stack:
        stack.callback(disk.unlink, missing_ok=True)
        with disk.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, size)
        options = "lazy_itable_init=0,lazy_journal_init=0"
        command(["mkfs.ext4", "-q", "-O", "has_journal", "-E", options, str(disk)])
        root.mkdir()
        stack.callback(root.rmdir)
        command(["mount", "-o", "loop", str(disk), str(root)])
        stack.callback(command, ["umount", str(root)])
        yield root


def report(results: Results) -> Iterator[Row]:
    """Return what was measured; ratios are medians of the rounds' own ratios."""
    bare, ours = results.samples[BARE], results.samples[OURS]
    for tool, base in bare.items():
        yield Row(tool, median(base), extremes=(min(base), max(base)))
        for name, took in ours.items():
            if BY_NAME[name].bare == tool:
                pairs = zip(took, base, strict=True)
                ratio = median(one / other for one, other in pairs)
                extremes = min(took), max(took)
                yield Row(name, median(took), tool, ratio, aim_of(BY_NAME[name]), extremes)


def unpacking(
    small: Path, rounds: int, size: int = SIZE, *, large: bool = True
) -> Iterator[Row]:
    """
    Measure.

    @param small: an image.
    @param size: of the file system, in bytes.
    @param large: whether to unpack an image of a real stemcell's size.
    @raise Unusable: if there is no room for the file system.
    @raise Failed: if a bare tool fails. @raise Refused: if the daemon refuses a call.
    """
    results = Results()
    with ExitStack() as stack:
        outer = Lab()
        stack.callback(outer.close)
        lab = Lab(stack.enter_context(file_system(outer.home, size)))
        stack.callback(lab.close)
        place = lab.home / "bare"
        place.mkdir()
        new_daemon = stack.enter_context(lab.daemons())
        bench = Bench(
            ours=Ours(new_daemon().start(), small),
            others=[],
            new_daemon=new_daemon,
            image=large_image(small, place) if large else small,
            place=place,
            rounds=rounds * FEWER,
        )
        Stemcells(bench).measure(results)
    return report(results)


def main() -> None:
    """Measure and print."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    small = images.bootable("systemd")
    netns.enter()
    try:
        print(layout(list(unpacking(small, rounds))))
    except (Failed, Refused, Unusable) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
