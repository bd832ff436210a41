"""A damaged or hostile image gives an error that names the fault, and leaves nothing."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.harness import images
from tests.harness.daemon import Daemon
from tests.harness.images import archive, entry, shell_entries
from tests.harness.lab import Lab
from tests.harness.waiting import eventually

# Both ends have something to do, and the data cannot be compressed.
NOISE = bytes((n * n * 31 + n // 251) % 251 for n in range(300_000))
PLAIN = archive([*shell_entries(), entry("noise", NOISE)])
PACKED = gzip.compress(PLAIN)
# The last member, with its header and the end of the archive, in whole records.
LAST = len(PLAIN) - PLAIN.index(b"noise\0")


def flipped(data: bytes, where: float) -> bytes:
    """Return data with one bit inverted."""
    at = int(len(data) * where)
    return data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :]


DAMAGED = {
    "empty": (b"", "empty"),
    "one byte": (b"\x1f", "no tar archive"),
    "not an archive": (b"This is no archive.\n" * 100, "no tar archive"),
    "zeros": (bytes(10240), "no tar archive"),
    "gzip of nothing": (gzip.compress(b""), "tar archive|no root file system"),
    "gzip of text": (gzip.compress(b"no archive " * 1000), "tar"),
    "gzip header alone": (PACKED[:10], "unexpected end|unpacked"),
    "first half": (PACKED[: len(PACKED) // 2], "unpacked"),
    "all but the end": (PACKED[:-9], "unpacked"),
    "all but the trailer": (PACKED[:-8], "unpacked"),
    "all but the last byte": (PACKED[:-1], "unpacked"),
    "bit flipped early": (flipped(PACKED, 0.1), "unpacked"),
    "bit flipped midway": (flipped(PACKED, 0.5), "unpacked"),
    "bit flipped in the checksum": (
        PACKED[:-8] + flipped(PACKED[-8:], 0.1),
        "unpacked",
    ),
    "half a plain archive": (PLAIN[: len(PLAIN) // 2], "unpacked"),
    "cut between members": (PLAIN[:-LAST], "no end"),
    "gzip cut between members": (gzip.compress(PLAIN[:-LAST]), "no end"),
    "header damaged": (flipped(PLAIN, 0.00001), "unpacked"),
    "zstd cut short": (b"\x28\xb5\x2f\xfd\x04\x00", "unpacked"),
    "xz cut short": (b"\xfd7zXZ\x00\x00", "unpacked"),
    "bzip2 cut short": (b"BZh91AY", "unpacked"),
    "zip": (b"PK\x03\x04" + bytes(600), "no tar archive"),
    "a directory alone": (
        archive([entry("etc", mode=0o755, kind=tarfile.DIRTYPE)]),
        "no root file system",
    ),
    "shell without permission": (
        archive([entry("bin/sh", b"#!\n", mode=0o644)]),
        "no root file system",
    ),
    "shell that leads nowhere": (
        archive([entry("bin/sh", kind=tarfile.SYMTYPE, link="/etc/no-such-shell")]),
        "no root file system",
    ),
    "shell of the host": (
        archive([entry("bin", kind=tarfile.SYMTYPE, link="../../../../../../bin")]),
        "no root file system",
    ),
    "device as shell": (
        archive([entry("bin/sh", mode=0o777, kind=tarfile.FIFOTYPE)]),
        "no root file system",
    ),
}


@pytest.fixture(scope="module", params=["unix", "tcp"])
def server(request: pytest.FixtureRequest, lab: Lab) -> Iterator[Daemon]:
    """A daemon for all tests here, over each of the two transports."""
    with lab.daemons() as new_daemon:
        yield new_daemon(network_type=request.param).start()


@pytest.fixture
def no_stemcell(server: Daemon) -> Iterator[None]:
    """Check afterwards that there is no stemcell, finished or not."""
    yield
    assert list((server.work_dir / "stemcells").iterdir()) == []
    eventually(lambda: not list(server.scratch.iterdir()), "scratch is empty", 5)


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged(server: Daemon, no_stemcell: None, tmp_path: Path, name: str) -> None:
    """The error for a damaged image names what is wrong with it."""
    data, named = DAMAGED[name]
    path = tmp_path / "image"
    path.write_bytes(data)
    error = server.cpi.error("create_stemcell", str(path), {})
    assert error["type"] == "Bosh::Clouds::CloudError"
    assert error["ok_to_retry"] is False
    assert any(word in error["message"] for word in named.split("|")), error
    assert str(server.work_dir) not in error["message"]


@pytest.mark.parametrize(
    "extra",
    [b"", gzip.compress(b""), gzip.compress(b"more"), b"garbage" * 500_000],
    ids=["nothing", "nothing packed", "more", "garbage"],
)
def test_what_follows_an_image(
    server: Daemon, no_stemcell: None, tmp_path: Path, extra: bytes
) -> None:
    """Data after the end of the archive is no error, on either transport."""
    path = tmp_path / "image"
    path.write_bytes(gzip.compress(PLAIN + bytes(64 << 10)) + extra)
    stemcell = server.create_stemcell(path)
    server.cpi.ok("delete_stemcell", stemcell)


def outside(server: Daemon) -> Path:
    """A file of the host that no image may reach."""
    path = server.home / "outside"
    path.write_text("untouched")
    return path


def climb(path: Path) -> str:
    """Return a relative name that leads to C{path} from anywhere."""
    return "../" * 12 + str(path).lstrip("/")


HOSTILE: dict[str, Callable[[Path], list[tuple[tarfile.TarInfo, bytes]]]] = {
    "parent directory": lambda target: [entry(climb(target), b"x")],
    "parent directory midway": lambda target: [entry("a/../" + climb(target), b"x")],
    "symlink written through": lambda target: [
        entry("way", kind=tarfile.SYMTYPE, link=str(target)),
        entry("way", b"x"),
        entry("dir", kind=tarfile.SYMTYPE, link=str(target.parent)),
        entry("dir/outside", b"x"),
    ],
    "relative symlink": lambda target: [
        entry("dir", kind=tarfile.SYMTYPE, link=climb(target.parent)),
        entry("dir/outside", b"x"),
    ],
    "hard link to the host": lambda target: [
        entry("way", kind=tarfile.LNKTYPE, link=str(target)),
        entry("way", b"x"),
    ],
    "hard link upwards": lambda target: [
        entry("way", kind=tarfile.LNKTYPE, link=climb(target)),
        entry("way", b"x"),
    ],
    "hard link to a symlink": lambda target: [
        entry("one", kind=tarfile.SYMTYPE, link=str(target)),
        entry("way", kind=tarfile.LNKTYPE, link="one"),
        entry("way", b"x"),
    ],
}
REFUSED = {"parent directory", "parent directory midway"}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile(server: Daemon, tmp_path: Path, name: str) -> None:
    """
    No member of an archive gets out of the stemcell, whether the image is refused or not.
    """
    target = outside(server)
    before = target.stat()
    path = tmp_path / "image"
    path.write_bytes(archive([*shell_entries(), *HOSTILE[name](target)]))
    answer = server.cpi.call("create_stemcell", str(path), {})
    assert target.read_text() == "untouched"
    for name_of in ("st_mode", "st_uid", "st_nlink", "st_mtime_ns"):
        assert getattr(target.stat(), name_of) == getattr(before, name_of)
    if name in REFUSED:
        assert answer["error"]["type"] == "Bosh::Clouds::CloudError"
        assert "'..'" in answer["error"]["message"]
    if answer["result"]:
        server.cpi.ok("delete_stemcell", answer["result"])
    assert target.read_text() == "untouched"
    assert list((server.work_dir / "stemcells").iterdir()) == []
    eventually(lambda: not list(server.scratch.iterdir()), "scratch is empty", 5)


def test_absolute_names_stay_inside(server: Daemon, tmp_path: Path) -> None:
    """An absolute name in an archive is taken from the root of the stemcell."""
    target = outside(server)
    path = tmp_path / "image"
    path.write_bytes(archive([*shell_entries(), entry(str(target), b"x")]))
    stemcell = server.create_stemcell(path)
    root = server.rootfs_of(stemcell)
    assert (root / str(target).lstrip("/")).read_text() == "x"
    assert target.read_text() == "untouched"
    server.cpi.ok("delete_stemcell", stemcell)


def test_vm_files_follow_no_link(server: Daemon, tmp_path: Path, busybox: bytes) -> None:
    """The files that each VM gets are not written through links of its stemcell."""
    target = outside(server)
    buffer = io.BytesIO(images.tiny(busybox))
    with tarfile.open(fileobj=buffer, mode="a") as more:
        for name in ("etc/resolv.conf", "etc/hosts", "var/vcap/bosh/bin"):
            member, _ = entry(name, kind=tarfile.SYMTYPE, link=str(target))
            more.addfile(member)
        member, _ = entry("etc/hostname", mode=0o777, kind=tarfile.DIRTYPE)
        more.addfile(member)
    path = tmp_path / "image"
    path.write_bytes(buffer.getvalue())
    stemcell = server.create_stemcell(path)
    vm = server.create_vm(stemcell)
    assert target.read_text() == "untouched"
    assert vm.cid in vm.read("/etc/hosts")
    server.cpi.ok("delete_vm", vm.cid)
    server.cpi.ok("delete_stemcell", stemcell)


@pytest.mark.parametrize(
    ("name", "named"),
    [
        ("no-such-image", "No such file"),
        (".", "not an ordinary file"),
        ("/dev/null", "not an ordinary file"),
    ],
)
def test_no_image(
    server: Daemon, no_stemcell: None, tmp_path: Path, name: str, named: str
) -> None:
    """The error for a file that cannot be read as an image gives the reason."""
    error = server.cpi.error("create_stemcell", str(tmp_path / name), {})
    assert named in error["message"]
    assert error["ok_to_retry"] is False
