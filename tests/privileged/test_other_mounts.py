"""The runtime sees the mounts of the host and of its own VM, not those of others."""

from __future__ import annotations

import errno
import os
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from twisted.logger import capturedLogs, eventAsText

from runc_cpi.daemon.host import detached_mounts, listed_mounts, mounting
from runc_cpi.daemon.host.disks import mountinfo
from runc_cpi.daemon.host.libc import check, libc
from runc_cpi.daemon.host.oci import other_mounts
from runc_cpi.daemon.host.oci.views import Views
from tests.privileged.mounts import in_a_namespace, make_many, mount, seen

MS_UNBINDABLE = 1 << 17  # linux/mount.h


def too_old() -> list[int]:
    """Refuse as a kernel does that has no such call."""
    raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))


def enter(bundle: Path) -> None:
    """Get into a mount namespace that has the mounts of one VM, and no others of VMs."""
    views = Views()
    views.enter(bundle)
    views.close()


@pytest.mark.parametrize("place", ["root", "own"])
@pytest.mark.parametrize("are_many", [True, False], ids=["many", "few"])
@pytest.mark.parametrize("kernel", ["new", "old"])
def test_mounts_of_others_are_hidden(
    tmp_path: Path,
    place: str,
    are_many: bool,
    kernel: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Many mounts are hidden, wherever the directory is mounted; few stay as they are."""
    if kernel == "old":
        monkeypatch.setattr(listed_mounts, "numbers", too_old)
    if not are_many:
        # Whatever else is mounted on this host.
        monkeypatch.setattr(other_mounts, "FEW", 1 << 20)

    def work() -> None:
        home = tmp_path if place == "root" else mount(tmp_path, "disk")
        vms, beside = home / "vms", mount(home, "beside")
        (beside / "file").touch()
        others = make_many(vms)
        # Of another daemon, whose directory is on a file system of its own.
        others.add(str(mount(beside, "vms", f"vm-{uuid4()}", "layers")))
        own = mount(vms, f"vm-{uuid4()}", "layers")
        (own / "file").touch()
        mount(own, "data")
        before = seen(tmp_path)
        enter(own.parent)
        assert (own / "file").exists()
        assert (beside / "file").exists()
        assert all(Path(each).is_dir() for each in others)
        after = before
        if are_many:
            # What is the VM's own is there by a mount of its own.
            after = (before - others) | {str(own.parent)}
        assert seen(tmp_path) == after

    in_a_namespace(work)


def test_a_mount_point_that_goes_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the host unmounts and removes while others are hidden is left out."""
    copying = other_mounts._tree

    def copy(stack: ExitStack, path: str) -> int | None:
        tree = copying(stack, path)
        if path.endswith("/passing"):
            mounting.detach(path)
            Path(path).rmdir()
        return tree

    def work() -> None:
        passing = mount(tmp_path, "passing")
        others = make_many(tmp_path / "vms")
        own = mount(tmp_path, "vms", f"vm-{uuid4()}", "layers")
        before = seen(tmp_path)
        enter(own.parent)
        left = before - others - {str(passing)} | {str(own.parent)}
        assert seen(tmp_path) == left

    monkeypatch.setattr(other_mounts, "_tree", copy)
    in_a_namespace(work)


def refuse(*_: object) -> None:
    """Refuse as the kernel does."""
    raise OSError(errno.EPERM, os.strerror(errno.EPERM), "refused")


@pytest.mark.parametrize(
    ("place", "owner", "name"),
    [
        ("root", mounting, "pivot"),
        ("root", detached_mounts, "move"),
        ("root", detached_mounts, "of_directory"),
        ("own", mounting, "detach"),
        ("own", detached_mounts, "move"),
        ("own", detached_mounts, "of_directory"),
    ],
    ids=["root-pivot", "root-move", "root-copy", "own-detach", "own-move", "own-copy"],
)
def test_a_kernel_that_refuses(
    tmp_path: Path, place: str, owner: Any, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All stays in sight then, and that is logged."""

    def work() -> None:
        home = tmp_path if place == "root" else mount(tmp_path, "disk")
        make_many(home / "vms")
        own = mount(home, "vms", f"vm-{uuid4()}", "layers")
        before = seen(tmp_path)
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, refuse)
            enter(own.parent)
        assert seen(tmp_path) == before
        assert own.exists()

    with capturedLogs() as log:
        in_a_namespace(work)
    (told,) = (eventAsText(event, includeTimestamp=False) for event in log)
    assert "cannot be hidden: [Errno 1]" in told


def test_a_mount_that_may_not_be_copied(tmp_path: Path) -> None:
    """What is not to be mounted once more on the host is in sight all the same."""

    def work() -> None:
        beside = mount(tmp_path, "beside")
        check(libc.mount(None, os.fsencode(beside), None, MS_UNBINDABLE, None), "beside")
        others = make_many(tmp_path / "vms")
        own = mount(tmp_path, "vms", f"vm-{uuid4()}", "layers")
        before = seen(tmp_path)
        enter(own.parent)
        assert seen(tmp_path) == before - others | {str(own.parent)}
        assert str(beside) in seen(tmp_path)

    in_a_namespace(work)


@pytest.mark.parametrize("kernel", ["new", "old"])
def test_what_may_wait_for_a_server(
    tmp_path: Path, kernel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside a directory that is mounted once somebody looks, nothing is looked at."""
    if kernel == "old":
        monkeypatch.setattr(listed_mounts, "numbers", too_old)

    def work() -> None:
        waiting = tmp_path / "waiting"
        waiting.mkdir()
        # Nobody ever answers at this end of the pipe, as if a server were down.
        answers, asked = os.pipe()
        options = f"fd={asked},pgrp={os.getpgrp()},minproto=5,maxproto=5,direct".encode()
        target = os.fsencode(waiting)
        try:
            check(libc.mount(b"none", target, b"autofs", 0, options), "autofs")
            make_many(tmp_path / "vms")
            own = mount(tmp_path, "vms", f"vm-{uuid4()}", "layers")
            assert other_mounts.OtherMounts().look(own.parent.parent) is None
        finally:
            os.close(answers)
            os.close(asked)

    in_a_namespace(work)


def test_the_same_by_numbers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The kernel lists what mountinfo has, in pieces if need be."""
    monkeypatch.setattr(listed_mounts, "MOST", 8)

    def work() -> None:
        for number in range(9):
            mount(tmp_path, f"with a blank, a \n and a \\ {number}")
        try:
            numbers = list(listed_mounts.numbers())
        except OSError as error:
            pytest.skip(f"this kernel: {error}")
        assert len(set(numbers)) == len(numbers)
        found = [listed_mounts.place_of(number) for number in numbers]
        with open("/proc/thread-self/mountinfo", "rb") as file:
            told = mountinfo.places(file.read())
        # Others may mount something on the host meanwhile.
        here = [place for place in told if place.point.startswith(str(tmp_path))]
        assert len(here) == 9
        assert [place for place in found if place in here] == here
        assert listed_mounts.place_of(max(numbers) + (1 << 40)) is None

    in_a_namespace(work)
