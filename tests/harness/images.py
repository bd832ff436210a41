"""Stemcell images: the bootable ones, and small ones made up for one test."""

from __future__ import annotations

import fcntl
import io
import json
import subprocess
import tarfile
from collections.abc import Iterable
from gzip import compress
from hashlib import sha256
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[2]
KINDS = ("runit", "systemd")
CACHE = PROJECT / ".cache" / "stemcells"
MAKER = PROJECT / "operations" / "make-stemcell"
SLEEP_FOREVER = "#!/bin/sh\nexec /bin/busybox sleep 1000000\n"


def bootable(kind: str) -> Path:
    """Return the image of a stemcell with C{runit} or C{systemd}, made if need be."""
    directory = CACHE / kind
    manifest = directory / "stemcell.MF"
    sources = [MAKER, *MAKER.with_name("stemcell").rglob("*")]
    newest = max(path.lstat().st_mtime for path in sources)
    directory.mkdir(parents=True, exist_ok=True)
    # Several processes may run tests; the first makes it, and the others wait.
    with open(directory / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not manifest.exists() or manifest.stat().st_mtime < newest:
            subprocess.run([MAKER, kind, directory], check=True)
    return directory / "image"


def another(image: Path, target: Path, number: int = 1) -> Path:
    """
    Make an image that holds what a C{gzip}ped one does, and is not the same file.

    It ends with a member that is empty, and differs by its time (RFC 1952).

    @return: C{target}.
    """
    target.write_bytes(image.read_bytes() + compress(b"", mtime=number))
    return target


def take_out(image: Path, name: str) -> bytes:
    """Return a file of an image."""
    with tarfile.open(image, "r|gz") as archive:
        for member in archive:
            if member.name == name:
                file = archive.extractfile(member)
                assert file is not None
                return file.read()
    raise AssertionError(f"{name} is not in {image}")


def entry(
    name: str,
    content: bytes = b"",
    *,
    mode: int = 0o644,
    kind: bytes = tarfile.REGTYPE,
    link: str = "",
) -> tuple[tarfile.TarInfo, bytes]:
    """Return a member for L{archive}."""
    member = tarfile.TarInfo(name)
    member.mode, member.type, member.linkname = mode, kind, link
    member.size = len(content)
    return member, content


def archive(members: Iterable[tuple[tarfile.TarInfo, bytes]]) -> bytes:
    """Return a tar archive of members, which are taken as they are."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as target:
        for member, content in members:
            target.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def shell_entries() -> list[tuple[tarfile.TarInfo, bytes]]:
    """Return the least that is taken for a root file system; it cannot be booted."""
    return [
        entry("bin", mode=0o755, kind=tarfile.DIRTYPE),
        entry("bin/sh", b"#!\n", mode=0o755),
    ]


def tiny(
    busybox: bytes,
    init: str = SLEEP_FOREVER,
    *more: tuple[tarfile.TarInfo, bytes],
) -> bytes:
    """
    Return an archive with busybox and an init of its own, for tests of what is around
    a VM.

    @param more: further members.
    """
    directories = ["bin", "etc", "proc", "dev", "sys", "run", "tmp", "usr", "usr/sbin"]
    directories += ["var", "var/vcap", "var/vcap/data", "var/vcap/bosh"]
    members = [entry(name, mode=0o755, kind=tarfile.DIRTYPE) for name in directories]
    members.append(entry("bin/busybox", busybox, mode=0o755))
    applets = (
        "sh cat ls ip hostname sleep stat mount true ping rm mkdir dd wget nc find tail"
    )
    for name in applets.split():
        members.append(entry(f"bin/{name}", kind=tarfile.SYMTYPE, link="busybox"))
    members.append(entry("usr/sbin/runsvdir-start", init.encode(), mode=0o755))
    return archive([*members, *more])


def make_layout(path: Path, layer: bytes) -> None:
    """Make an OCI image layout, of an image with one layer (OCI image specification)."""
    blobs = path / "blobs" / "sha256"
    blobs.mkdir(parents=True)

    def blob(kind: str, content: bytes) -> dict[str, Any]:
        digest = sha256(content).hexdigest()
        (blobs / digest).write_bytes(content)
        media_type = f"application/vnd.oci.image.{kind}"
        return {
            "mediaType": media_type,
            "digest": f"sha256:{digest}",
            "size": len(content),
        }

    def document(kind: str, **content: Any) -> dict[str, Any]:
        return blob(kind, json.dumps(content).encode())

    packed = blob("layer.v1.tar", layer)
    config = document(
        "config.v1+json",
        architecture="amd64",
        os="linux",
        config={},
        rootfs={"type": "layers", "diff_ids": [packed["digest"]]},
    )
    manifest = document("manifest.v1+json", schemaVersion=2, config=config, layers=[packed])
    index = {"schemaVersion": 2, "manifests": [manifest]}
    (path / "index.json").write_text(json.dumps(index))
    (path / "oci-layout").write_text(json.dumps({"imageLayoutVersion": "1.0.0"}))
