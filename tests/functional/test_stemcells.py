"""Stemcells: every form of an image, over both transports, with nothing lost."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness import images
from tests.harness.daemon import Daemon
from tests.harness.lab import Lab
from tests.harness.waiting import eventually

PACKERS = {
    "tar": None,
    "gzip": ["gzip", "-1c"],
    "zstd": ["zstd", "-qc"],
    "xz": ["xz", "-0c"],
    "bzip2": ["bzip2", "-1c"],
}
# VFS_CAP_REVISION_2 with CAP_NET_RAW effective and permitted (linux/capability.h).
NET_RAW = bytes.fromhex("0100000200200000000000000000000000000000")


@pytest.fixture(scope="module", params=["unix", "tcp"])
def server(request: pytest.FixtureRequest, lab: Lab) -> Iterator[Daemon]:
    """
    A daemon for all tests here: on unix images are passed as open files, on tcp they are
    streamed.
    """
    with lab.daemons() as new_daemon:
        yield new_daemon(network_type=request.param).start()


@pytest.fixture(scope="module")
def rich(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tree with all that a root file system can have in it."""
    root = tmp_path_factory.mktemp("rich") / "root"
    (root / "bin").mkdir(parents=True)
    (root / "bin/sh").write_text("#!\n")
    (root / "bin/sh").chmod(0o4755)
    (root / "etc").mkdir()
    (root / "etc/shadow").write_text("secret")
    (root / "etc/shadow").chmod(0o640)
    os.chown(root / "etc/shadow", 0, 42)
    home = root / "home"
    home.mkdir()
    home.chmod(0o2750)
    os.chown(home, 1000, 65534)
    (home / "read only").write_text("x")
    (home / "read only").chmod(0o444)
    os.setxattr(home / "read only", "user.note", b"kept \xff")
    os.setxattr(root / "bin/sh", "security.capability", NET_RAW)
    os.setxattr(root / "etc", "trusted.overlay.opaque", b"y")
    os.link(root / "etc/shadow", root / "etc/linked")
    (root / "etc/absolute").symlink_to("/etc/shadow")
    (root / "etc/relative").symlink_to("../home/read only")
    (root / "etc/dangling").symlink_to("../../../../nowhere")
    os.mknod(root / "null", 0o666 | 0o020000, os.makedev(1, 3))
    os.mkfifo(root / "fifo")
    (root / "locked").mkdir()
    (root / "locked/inside").write_text("y" * 100_000)
    (root / "locked").chmod(0o500)
    (root / ("n" * 200)).mkdir()
    (root / ("n" * 200) / ("ü" * 100)).write_text("long")
    os.utime(home, ns=(0, 10**18))
    return root


def pack(root: Path, target: Path, packer: list[str] | None) -> None:
    """Make an image of a tree."""
    tar = ["tar", "--create", "--directory", str(root), "--numeric-owner", "--xattrs"]
    tar += ["--xattrs-include=*", "."]
    with target.open("wb") as file:
        if packer is None:
            subprocess.run(tar, stdout=file, check=True)
            return
        with subprocess.Popen(tar, stdout=subprocess.PIPE) as source:
            subprocess.run(packer, stdin=source.stdout, stdout=file, check=True)


@pytest.mark.parametrize("form", PACKERS)
def test_all_is_kept(server: Daemon, rich: Path, tmp_path: Path, form: str) -> None:
    """Numeric owners, modes, links, attributes and capabilities come out as packed."""
    image = tmp_path / "image"
    pack(rich, image, PACKERS[form])
    stemcell = server.create_stemcell(image)
    root = server.rootfs_of(stemcell)
    for path in [rich, *rich.rglob("*")]:
        twin = root / path.relative_to(rich)
        one, other = path.lstat(), twin.lstat()
        for name in ("st_mode", "st_uid", "st_gid", "st_rdev", "st_nlink"):
            assert getattr(one, name) == getattr(other, name), (twin, name)
        if path.is_symlink():
            assert path.readlink() == twin.readlink()
        elif path.is_file():
            assert path.read_bytes() == twin.read_bytes()
            assert int(one.st_mtime) == int(other.st_mtime)
    assert os.path.samefile(root / "etc/shadow", root / "etc/linked")
    assert (root / "home").stat().st_mtime_ns == 10**18
    assert os.getxattr(root / "home/read only", "user.note") == b"kept \xff"
    assert os.getxattr(root / "bin/sh", "security.capability") == NET_RAW
    assert "trusted.overlay.opaque" not in os.listxattr(root / "etc")
    server.cpi.ok("delete_stemcell", stemcell)
    eventually(lambda: not list(server.scratch.iterdir()), "nothing is being removed")
    assert not root.exists()


def test_nobody_else_can_look_inside(server: Daemon, tiny: Path) -> None:
    """Only root can reach an unpacked stemcell, since it holds set-uid programs."""
    stemcell = server.create_stemcell(tiny)
    for path in (server.work_dir, server.work_dir / "stemcells"):
        assert path.stat().st_mode & 0o777 == 0o700
    server.cpi.ok("delete_stemcell", stemcell)


def test_stemcells_outlive_the_daemon(daemon: Daemon, tiny: Path) -> None:
    """After a restart the daemon has its stemcells."""
    stemcell = daemon.create_stemcell(tiny)
    daemon.stop()
    daemon.start()
    assert "with 1 stemcells" in daemon.log
    daemon.cpi.ok("delete_stemcell", stemcell)
    assert not list((daemon.work_dir / "stemcells").iterdir())


def test_image_of_a_shell_alone(server: Daemon, tmp_path: Path) -> None:
    """Any root file system is a stemcell, but only one with an init can be booted."""
    path = tmp_path / "image"
    path.write_bytes(images.archive(images.shell_entries()))
    stemcell = server.create_stemcell(path)
    networks = {"a": {"type": "dynamic"}}
    error = server.cpi.error("create_vm", "agent", stemcell, {}, networks, [], {})
    assert "init" in error["message"]
    server.cpi.ok("delete_stemcell", stemcell)
