"""Stemcells in files: what is read of them before and while they are sent."""

from __future__ import annotations

import hashlib
import io
import json
import sys
import tarfile
from pathlib import Path
from typing import Any, cast

import pytest

from runc_cpi.cpi import images
from runc_cpi.ctl import uploading
from runc_cpi.ctl.uploading import Packed, Rejected

CONTENT = b"an image" * 1000
SHA1 = hashlib.sha1(CONTENT).hexdigest()
MANIFEST: dict[str, Any] = {
    "name": "bosh-warden",
    "version": "1.2",
    "sha1": SHA1,
    "cloud_properties": {"name": "other", "infrastructure": "warden"},
}

LINKED = Packed(cloud_properties={}, sha1=None, size=1)


def pack(
    path: Path, manifest: Any, image: bytes | None = CONTENT, prefix: str = ""
) -> Path:
    """Write a stemcell."""
    with tarfile.open(path, "w:gz") as archive:
        text = manifest if isinstance(manifest, bytes) else json.dumps(manifest).encode()
        for name, content in (("image", image), ("stemcell.MF", text)):
            if content is not None:
                member = tarfile.TarInfo(prefix + name)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    return path


class Daemon:
    """
    Stands for the daemon: it keeps what it is sent.

    @param size: of an image that it has, or L{None} if it has none.
    @param digest: of that image.
    """

    def __init__(self, size: int | None = None, digest: str = "") -> None:
        self._size, self._digest = size, digest
        self.asked: list[str] = []
        self.data = b""

    def ask(self, command: str, **arguments: Any) -> dict[bytes, bytes]:
        """Note what is asked for."""
        self.asked.append(command)
        made = {b"stemcell_cid": b"stemcell-1"}
        if command == "OpenStemcell":
            wants_digest = str(arguments["size"] == self._size).encode()
            return {b"upload": b"1", b"wants_digest": wants_digest}
        if command == "NameStemcell":
            return made if arguments["digest"] == self._digest else {}
        return made

    call = ask

    def send_stream(self, command: str, source: Any, **arguments: Any) -> None:
        """Take all."""
        while data := source.read(1000):
            self.data += data

    def send_image(self, source: Any, *arguments: Any) -> Any:
        """Take an image as the daemon does."""
        client: Any = self
        return images.send(client, source, *arguments)


def upload(path: Path, stemcell: Packed, daemon: Any = None) -> Daemon:
    """Send a stemcell, and return the daemon that got it."""
    daemon = daemon or Daemon()
    try:
        uploading.upload(daemon, path, stemcell)
    except Rejected as error:
        daemon.asked.append(error.message)
    found: Daemon = daemon
    return found


@pytest.mark.parametrize("prefix", ["", "./"])
def test_a_stemcell(tmp_path: Path, prefix: str) -> None:
    """What the manifest says goes with the image, which is sent as it is."""
    path = pack(tmp_path / "s.tgz", MANIFEST, prefix=prefix)
    stemcell = uploading.examine(path)
    assert stemcell.size == len(CONTENT)
    assert stemcell.cloud_properties == {
        "name": "other",
        "version": "1.2",
        "infrastructure": "warden",
    }
    daemon = upload(path, stemcell)
    assert daemon.data == CONTENT
    assert daemon.asked == ["OpenStemcell", "CloseStemcell"]


def test_an_image_that_the_daemon_has(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of such an image the digest is sent; of another one of its size, all bytes follow."""
    path = pack(tmp_path / "s.tgz", MANIFEST)
    stemcell = uploading.examine(path)
    own = "sha256:" + hashlib.sha256(CONTENT).hexdigest()
    daemon = upload(path, stemcell, Daemon(len(CONTENT), own))
    assert daemon.asked == ["OpenStemcell", "NameStemcell"]
    assert daemon.data == b""
    told = capsys.readouterr().err
    assert told == "nothing was sent: the daemon has this image\n"
    daemon = upload(path, stemcell, Daemon(len(CONTENT), "sha256:" + "0" * 64))
    assert daemon.asked == ["OpenStemcell", "NameStemcell", "CloseStemcell"]
    assert daemon.data == CONTENT
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith(" a second")


def test_a_digest_of_another_image(tmp_path: Path) -> None:
    """An image that is not the one of the manifest is not named to the daemon."""
    path = pack(tmp_path / "s.tgz", {**MANIFEST, "sha1": "0" * 40})
    daemon = upload(path, uploading.examine(path), Daemon(len(CONTENT)))
    assert daemon.asked[0] == "OpenStemcell"
    assert "is not the one that its stemcell.MF tells" in daemon.asked[1]


def test_a_light_stemcell(tmp_path: Path) -> None:
    """Of a light stemcell the daemon fetches the image."""
    light = {"cloud_properties": {"image_reference": "example/stemcell:1"}}
    path = pack(tmp_path / "s.tgz", light, b"")
    assert upload(path, uploading.examine(path)).asked == ["FetchStemcell"]


def test_another_image(tmp_path: Path) -> None:
    """An image that is not the one of the manifest makes no stemcell."""
    path = pack(tmp_path / "s.tgz", {**MANIFEST, "sha1": "0" * 40})
    daemon = upload(path, uploading.examine(path))
    assert daemon.asked[0] == "OpenStemcell"
    assert "is not the one that its stemcell.MF tells" in daemon.asked[1]


@pytest.mark.parametrize(
    ("manifest", "image", "reason"),
    [
        (b"{ broken", CONTENT, "tells no cloud_properties"),
        (b"\xff", CONTENT, "tells no cloud_properties"),
        ({"name": "x"}, CONTENT, "tells no cloud_properties"),
        ([], CONTENT, "tells no cloud_properties"),
        (MANIFEST, None, "there is no image"),
    ],
    ids=["no YAML", "no UTF-8", "no properties", "a list", "no image"],
)
def test_what_is_no_stemcell(
    tmp_path: Path, manifest: Any, image: bytes | None, reason: str
) -> None:
    """A file that BOSH would not take is refused, with its name and the reason."""
    path = pack(tmp_path / "s.tgz", manifest, image)
    with pytest.raises(Rejected, match=reason) as caught:
        uploading.examine(path)
    assert str(path) in caught.value.message


@pytest.mark.parametrize("name", ["stemcell.MF", "image"])
def test_links(tmp_path: Path, name: str) -> None:
    """What is a link in the archive, and to nowhere, is not there."""
    path = tmp_path / "s.tgz"
    with tarfile.open(path, "w:gz") as archive:
        member = tarfile.TarInfo(name)
        member.type, member.linkname = tarfile.LNKTYPE, "nowhere"
        archive.addfile(member)
    with pytest.raises(Rejected, match="there is no stemcell.MF in it"):
        uploading.examine(path)
    with pytest.raises(Rejected, match="there is no image in it any more"):
        uploading.upload(cast("Any", Daemon()), path, LINKED)


def test_what_is_no_archive(tmp_path: Path) -> None:
    """A file that is no archive, or ends early, is refused."""
    path = tmp_path / "x"
    path.write_bytes(b"x" * 5000)
    with pytest.raises(Rejected):
        uploading.examine(path)
    whole = pack(tmp_path / "s.tgz", MANIFEST)
    stemcell = uploading.examine(whole)
    whole.write_bytes(whole.read_bytes()[:60])
    assert str(whole) in upload(whole, stemcell).asked[-1]


class Terminal(io.StringIO):
    """Keeps what is written, and says that somebody sees it."""

    def isatty(self) -> bool:
        """Say so."""
        return True


def test_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    """At a terminal it is shown how far it is, with the time that is left."""
    monkeypatch.setattr("sys.stderr", Terminal())
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("TERM", "xterm")
    with uploading._progress(4 << 20) as told:
        told(1 << 20)
        told(4 << 20)
    assert isinstance(sys.stderr, Terminal)
    text = sys.stderr.getvalue()
    assert "4.0/4.0 MiB" in text
    assert "0:00:00" in text
    assert "nothing" not in text
    with uploading._progress(4 << 20):
        pass
    more = sys.stderr.getvalue().removeprefix(text)
    assert "nothing was sent: the daemon has this image" in more
    assert "MiB" not in more


def test_no_progress(capsys: pytest.CaptureFixture[str]) -> None:
    """Elsewhere one line tells how much it was, and how fast."""
    with uploading._progress(4 << 20) as told:
        told(4 << 20)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("4 MiB in 0 s, ")
