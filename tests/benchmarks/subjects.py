"""What is measured: calls by the executable, and the bare tools to compare with."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from runc_cpi.daemon.host.images.formats import decompressor_for
from runc_cpi.daemon.host.images.pipeline import TAR
from runc_cpi.daemon.host.images.reading import HEADER_SIZE
from tests.benchmarks.encryption import STREAM, encrypted, encryption
from tests.benchmarks.measuring import Row, command, in_turns, timed
from tests.harness.daemon import Daemon, vm_arguments

DISK_SIZE = 10 * 1024
PADDING = 10


def bare_python() -> float:
    """Start an interpreter that does nothing."""
    return timed(lambda: command([sys.executable, "-I", "-S", "-c", "pass"]))


def executable(daemon: Daemon, stemcell: str, rounds: int) -> tuple[list[Row], float]:
    """Measure the calls that do hardly anything; return the time of C{info} too."""
    vm = daemon.create_vm(stemcell)
    python, info, has_vm = in_turns(
        rounds,
        bare_python,
        lambda: timed(lambda: daemon.cpi.ok("info")),
        lambda: timed(lambda: daemon.cpi.ok("has_vm", vm.cid)),
    )
    daemon.cpi.ok("delete_vm", vm.cid)
    against = "python3 -I -S -c pass"
    rows = [
        Row(against, python),
        Row("info", info, against, info / python, "1.3"),
        Row("has_vm", has_vm, against, has_vm / python, "1.7"),
    ]
    return rows, info


class RawRunc:
    """C{runc create} and C{runc start} with the bundle of a VM, without a daemon."""

    def __init__(self, daemon: Daemon, stemcell: str, home: Path) -> None:
        vm = daemon.create_vm(stemcell)
        self._spec = json.loads((vm.directory / "config.json").read_text())
        daemon.cpi.ok("delete_vm", vm.cid)
        self._lower = daemon.rootfs_of(stemcell)
        self._home, self._numbers = home, count()

    def _inside_overlay(self, bundle: Path) -> list[str]:
        layers = f"lowerdir={self._lower},upperdir={bundle}/upper,workdir={bundle}/work"
        script = 'mount -t overlay -o "$1" overlay "$2" && shift 2 && exec "$@"'
        shell = ["sh", "-c", script, "overlay", layers, str(bundle / "rootfs")]
        return ["unshare", "--mount", "--propagation", "slave", *shell]

    def __call__(self) -> float:
        """Make a container, which is measured; remove it, which is not."""
        name = f"raw-{os.getpid()}-{next(self._numbers)}"
        bundle = self._home / name
        for part in ("rootfs", "upper", "work", "data"):
            (bundle / part).mkdir(parents=True)
        spec = json.loads(json.dumps(self._spec))
        for mount in spec["mounts"]:
            if mount["destination"] == "/var/vcap/data":
                mount["source"] = str(bundle / "data")
        spec["linux"]["cgroupsPath"] = f"/{name}"
        (bundle / "config.json").write_text(json.dumps(spec))
        base = ["runc", "--root", str(self._home / "runc")]

        def create_and_start() -> None:
            with (bundle / "console").open("wb") as console:
                create = [*base, "create", "--bundle", str(bundle), name]
                subprocess.run(
                    [*self._inside_overlay(bundle), *create],
                    stdin=subprocess.DEVNULL,
                    stdout=console,
                    stderr=console,
                    check=True,
                )
            command([*base, "start", name])

        took = timed(create_and_start)
        command([*base, "delete", "--force", name])
        shutil.rmtree(bundle)
        return took


def vms(daemon: Daemon, stemcell: str, rounds: int, info: float, home: Path) -> list[Row]:
    """Measure create_vm and delete_vm."""
    made: list[str] = []

    def create() -> float:
        arguments = vm_arguments(stemcell)
        return timed(lambda: made.append(daemon.cpi.ok("create_vm", *arguments)[0]))

    def delete() -> float:
        return timed(lambda: daemon.cpi.ok("delete_vm", made.pop()))

    runc, created, deleted = in_turns(
        rounds, RawRunc(daemon, stemcell, home), create, delete
    )
    against = "runc create + start"
    net = created - info
    return [
        Row(against, runc),
        Row("create_vm", created),
        Row("create_vm less info", net, against, net / runc, "2.5"),
        Row("delete_vm", deleted),
        Row("delete_vm less info", deleted - info, aim="60 ms"),
    ]


def large_image(image: Path, home: Path) -> Path:
    """Make an image of a real stemcell's size from several copies of a small one."""
    tree = home / "tree"
    for part in ("", *(f"opt/{number}" for number in range(PADDING))):
        directory = tree / part
        directory.mkdir(parents=True, exist_ok=True)
        command(["tar", "--extract", f"--file={image}", f"--directory={directory}"])
    large = home / "image"
    compress = shutil.which("pigz") or "gzip"
    command(["tar", f"-I{compress}", "-cf", str(large), "-C", str(tree), "."])
    shutil.rmtree(tree)
    return large


def stemcells(
    daemon: Daemon, streaming: Daemon, image: Path, rounds: int, home: Path
) -> list[Row]:
    """Measure create_stemcell, with an image passed as a file and as a stream."""
    first = decompressor_for(image.read_bytes()[:HEADER_SIZE])
    assert first is not None

    target = home / "raw"

    def unpack() -> None:
        with image.open("rb") as source:
            head = subprocess.Popen(first, stdin=source, stdout=subprocess.PIPE)
            tar = [*TAR, f"--directory={target}"]
            subprocess.run(tar, stdin=head.stdout, stdout=subprocess.DEVNULL, check=True)
            assert head.wait() == 0

    def unpack_and_sync() -> None:
        unpack()
        command(["sync", "--file-system", str(target)])

    def raw(work: Callable[[], None]) -> Callable[[], float]:
        def measure() -> float:
            target.mkdir()
            took = timed(work)
            command(["rm", "-rf", str(target)])
            return took

        return measure

    def call(on: Daemon) -> Callable[[], float]:
        def create() -> float:
            made: list[str] = []
            took = timed(lambda: made.append(on.create_stemcell(image)))
            on.cpi.ok("delete_stemcell", made[0])
            return took

        return create

    plain, synced, passed, streamed = in_turns(
        rounds, raw(unpack), raw(unpack_and_sync), call(daemon), call(streaming)
    )
    against = f"{first[0]} | tar"
    with_sync = f"{against}, sync"
    return [
        Row(against, plain),
        Row(with_sync, synced, against, synced / plain),
        Row("create_stemcell, file passed", passed, against, passed / plain, "1.2"),
        Row("the same", passed, with_sync, passed / synced),
        Row("create_stemcell, streamed by tcp", streamed, against, streamed / plain),
    ]


def disks(daemon: Daemon, stemcell: str, rounds: int, home: Path) -> list[Row]:
    """Measure create_disk, and attach_disk and detach_disk of a running VM."""
    vm = daemon.create_vm(stemcell)
    image, point = home / "disk", home / "mnt"
    point.mkdir()
    made: list[str] = []

    def bare_make() -> float:
        image.unlink(missing_ok=True)

        def make() -> None:
            command(["truncate", f"--size={DISK_SIZE}M", str(image)])
            command(["mkfs.ext4", "-q", "-F", str(image)])

        return timed(make)

    def make() -> float:
        return timed(
            lambda: made.append(daemon.cpi.ok("create_disk", DISK_SIZE, {}, vm.cid))
        )

    def bare_mount() -> float:
        return timed(lambda: command(["mount", "-o", "loop", str(image), str(point)]))

    def bare_unmount() -> float:
        return timed(lambda: command(["umount", str(point)]))

    def attach() -> float:
        return timed(lambda: daemon.cpi.ok("attach_disk", vm.cid, made[-1]))

    def detach() -> float:
        vm.run("mount", f"/dev/{made[-1]}", "/var/vcap/store")
        return timed(lambda: daemon.cpi.ok("detach_disk", vm.cid, made[-1]))

    def delete() -> float:
        return timed(lambda: daemon.cpi.ok("delete_disk", made.pop()))

    works = (bare_make, make, bare_mount, bare_unmount, attach, detach, delete)
    bare, created, mount, unmount, attached, detached, deleted = in_turns(rounds, *works)
    daemon.cpi.ok("delete_vm", vm.cid)
    making, mounting = "truncate + mkfs.ext4", "mount -o loop"
    return [
        Row(making, bare),
        Row("create_disk of 10 GiB", created, making, created / bare, "150 ms"),
        Row(mounting, mount),
        Row("attach_disk", attached, mounting, attached / mount, "60 ms"),
        Row("umount", unmount),
        Row("detach_disk, mounted in the VM", detached, "umount", detached / unmount),
        Row("delete_disk", deleted),
    ]


@contextmanager
def work_place(home: Path) -> Iterator[Path]:
    """Return an empty directory on the file system that the daemons use, for a while."""
    place = home / "bare"
    place.mkdir()
    try:
        yield place
    finally:
        shutil.rmtree(place)


def everything(
    new_daemon: Any, images: dict[str, Path], rounds: int, home: Path, *, large: bool
) -> list[Row]:
    """
    Measure all subjects.

    @param large: whether to unpack an image of a real stemcell's size.
    """
    daemon, streaming = new_daemon().start(), new_daemon(network_type="tcp").start()
    stemcell = daemon.create_stemcell(images["runit"])
    with work_place(home) as place:
        image = large_image(images["systemd"], place) if large else images["runit"]
        rows, info = executable(daemon, stemcell, rounds)
        rows += vms(daemon, stemcell, rounds, info, place)
        rows += stemcells(daemon, streaming, image, max(2, rounds // 4), place)
        rows += encryption(
            streaming,
            encrypted(new_daemon),
            image,
            rounds,
            place,
            size=STREAM if large else 16,
        )
        rows += disks(daemon, stemcell, rounds, place)
    return rows
