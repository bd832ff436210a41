"""The life of a persistent disk."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from tests.benchmarks.calls.rounds import Calls, Works
from tests.benchmarks.contenders import Contender
from tests.benchmarks.measuring import Work, command, timed
from tests.benchmarks.own_mounts import own_mounts
from tests.benchmarks.subjects import (
    ATTACH_DISK,
    COPY,
    CREATE_DISK,
    DELETE_DISK,
    DELETE_SNAPSHOT,
    DETACH_DISK,
    MAKE_DISK,
    MOUNT,
    REMOVE_COPY,
    REMOVE_DISK,
    SNAPSHOT_DISK,
    UNMOUNT,
)
from tests.harness import trees

SIZE = 10 * 1024  # MiB


class Disks(Calls):
    """A disk is made, attached, mounted, detached, copied and deleted in each round."""

    names = (
        *(CREATE_DISK, ATTACH_DISK, DETACH_DISK),
        *(SNAPSHOT_DISK, DELETE_SNAPSHOT, DELETE_DISK),
    )

    @contextmanager
    def bare(self) -> Iterator[Works]:
        """Return the same with a file, by the tools that are there for it."""
        directory = self.bench.place / "disk"
        point = self.bench.place / "mnt"
        image, copy = directory / "image", self.bench.place / "copy"
        point.mkdir()
        with own_mounts() as threads:

            def run(*argv: str | Path) -> Work:
                work = partial(command, [str(each) for each in argv])
                return lambda: threads.submit(timed, work).result()

            def make() -> float:
                directory.mkdir()
                truncated = run("truncate", f"--size={SIZE}M", image)()
                return truncated + run("mkfs.ext4", "-q", "-F", image)()

            try:
                yield [
                    (MAKE_DISK, make),
                    (MOUNT, run("mount", "-o", "loop", image, point)),
                    (UNMOUNT, run("umount", point)),
                    (COPY, run("cp", "--sparse=always", image, copy)),
                    (REMOVE_COPY, run("rm", "-rf", copy)),
                    (REMOVE_DISK, run("rm", "-rf", directory)),
                ]
            finally:
                for path in (copy, directory):
                    trees.remove(path)
        point.rmdir()

    @contextmanager
    def calls(self, contender: Contender) -> Iterator[Works]:
        """Return the calls of a contender, with a VM."""
        vm_cid, disks, snapshots = contender.create_vm(), list[str](), list[str]()

        def create() -> float:
            return timed(
                lambda: disks.append(contender.call("create_disk", SIZE, {}, vm_cid))
            )

        def attach() -> float:
            return timed(lambda: contender.call("attach_disk", vm_cid, disks[0]))

        def detach() -> float:
            contender.mount(vm_cid, disks[0])
            return timed(lambda: contender.call("detach_disk", vm_cid, disks[0]))

        def snapshot() -> float:
            return timed(
                lambda: snapshots.append(contender.call("snapshot_disk", disks[0], {}))
            )

        def delete_snapshot() -> float:
            took = timed(lambda: contender.call("delete_snapshot", snapshots[0]))
            snapshots.clear()
            return took

        def delete() -> float:
            took = timed(lambda: contender.call("delete_disk", disks[0]))
            disks.clear()
            return took

        try:
            yield [
                (CREATE_DISK, create),
                (ATTACH_DISK, attach),
                (DETACH_DISK, detach),
                (SNAPSHOT_DISK, snapshot),
                (DELETE_SNAPSHOT, delete_snapshot),
                (DELETE_DISK, delete),
            ]
        finally:
            contender.tidy("delete_vm", vm_cid)
            for cid in snapshots:
                contender.tidy("delete_snapshot", cid)
            for cid in disks:
                contender.tidy("delete_disk", cid)
