"""Light stemcells: the real skopeo fetches images, and the real umoci unpacks them."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.harness import images, oci
from tests.harness.certificates import Authority
from tests.harness.daemon import Daemon
from tests.harness.lab import NewDaemon
from tests.harness.oci import Image, Registry

CREDENTIALS = "robot:hunter2-registry"
WRONG = "sha256:" + "e" * 64
NAME = "stemcells/tiny"


@pytest.fixture(scope="module")
def layers(busybox: bytes) -> list[bytes]:
    """The layers of an image: one that boots, and one that adds and removes a file."""
    below = images.entry("etc/below", b"below\n")
    above = [images.entry("etc/above", b"above\n"), images.entry("etc/.wh.below")]
    system = images.tiny(busybox)
    return [images.archive([below]), system, images.archive(above)]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the registry's certificate, and the CA that signed it."""
    directory = tmp_path_factory.mktemp("registry")
    authority = Authority("registries")
    tls = authority.issue("registry", "127.0.0.1")
    (directory / "server.pem").write_text(tls["certificate"] + tls["private_key"])
    (directory / "ca.pem").write_text(authority.pem)
    return directory


@pytest.fixture
def registry(certificate: Path) -> Iterator[Registry]:
    """An empty registry."""
    with Registry(certificate / "server.pem").serving() as registry:
        yield registry


@pytest.fixture
def daemon(
    new_daemon: NewDaemon,
    certificate: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Daemon:
    """A daemon that knows the registry's CA, and has credentials for it."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate / "ca.pem"))
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(tmp_path / "auth.json"))
    return new_daemon().start()


def fetch(daemon: Daemon, reference: str, tmp_path: Path, **more: str) -> dict[str, Any]:
    """Import a light stemcell, whose own image is an empty file."""
    (tmp_path / "image").touch()
    properties = {"name": "tiny", "image_reference": reference, **more}
    return daemon.cpi.call("create_stemcell", str(tmp_path / "image"), properties)


def fetched(daemon: Daemon, reference: str, tmp_path: Path, **more: str) -> str:
    """Import a light stemcell, which must work; return its cid."""
    answer = fetch(daemon, reference, tmp_path, **more)
    assert answer["error"] is None, answer["error"]
    return str(answer["result"])


def refusal(daemon: Daemon, reference: str, tmp_path: Path, **more: str) -> str:
    """Import a light stemcell, which must fail and leave nothing; return the error."""
    error = fetch(daemon, reference, tmp_path, **more)["error"]
    assert error["type"] == "Bosh::Clouds::CloudError"
    daemon.wait_for_removals()
    for name in ("images", "stemcells"):
        assert not list((daemon.work_dir / name).iterdir())
    return str(error["message"])


def unpacked(daemon: Daemon) -> list[Path]:
    """Return the images that are on the disk."""
    return sorted((daemon.work_dir / "images").iterdir())


@pytest.mark.parametrize("form", ["oci", "oci with a tag", "oci-archive", "docker", "bare"])
def test_life(
    daemon: Daemon, layers: list[bytes], registry: Registry, tmp_path: Path, form: str
) -> None:
    """From a registry, a layout or an archive, a VM boots with all layers of the image."""
    image = Image(layers)
    place = tmp_path / "layout"
    key = "image_digest"
    if form in ("docker", "bare"):
        registry.images[f"{NAME}:1.2"] = image
        reference = f"{registry.address}/{NAME}:1.2"
        if form == "docker":
            reference = f"docker://{reference}"
        else:
            key = "digest"  # as docker-cpi and warden-cpi have both
    elif form == "oci-archive":
        image.write_archive(tmp_path / "image.tar", place)
        reference = f"oci-archive:{tmp_path}/image.tar"
    else:
        image.write_layout(place, "1.2")
        reference = f"oci:{place}" + (":1.2" if form == "oci with a tag" else "")
    stemcell_cid = fetched(daemon, reference, tmp_path, **{key: image.digest})
    vm = daemon.create_vm(stemcell_cid)
    assert vm.read("/etc/above") == "above\n"
    assert "below" not in vm.run("ls", "/etc").split()
    daemon.cpi.ok("delete_vm", vm.cid)
    daemon.cpi.ok("delete_stemcell", stemcell_cid)
    assert not unpacked(daemon)


def test_sharing(daemon: Daemon, layers: list[bytes], tmp_path: Path) -> None:
    """An image is unpacked once for a digest, whatever names lead to it, now or later."""
    first, second = tmp_path / "first", tmp_path / "second"
    for place in (first, second):
        Image(layers).write_layout(place)
    cids = [fetched(daemon, f"oci:{first}", tmp_path)]
    (files,) = unpacked(daemon)
    inode = files.stat().st_ino
    daemon.stop()
    daemon.start()
    cids.append(fetched(daemon, f"oci:{second}", tmp_path))
    assert [path.stat().st_ino for path in unpacked(daemon)] == [inode]
    other = Image(layers[:2])
    other.write_layout(tmp_path / "other")
    cids.append(fetched(daemon, f"oci:{tmp_path}/other", tmp_path))
    assert len(unpacked(daemon)) == 2
    vm = daemon.create_vm(cids[1])
    daemon.cpi.ok("delete_stemcell", cids[0])
    assert vm.read("/etc/above") == "above\n"
    daemon.cpi.ok("delete_vm", vm.cid)
    for stemcell_cid in cids[1:]:
        daemon.cpi.ok("delete_stemcell", stemcell_cid)
    assert not unpacked(daemon)


@pytest.mark.parametrize("types", [oci.OCI, oci.DOCKER], ids=["oci", "docker"])
@pytest.mark.parametrize("listed", [False, True], ids=["image", "list"])
def test_digests_of_a_registry(
    daemon: Daemon,
    layers: list[bytes],
    registry: Registry,
    tmp_path: Path,
    types: Mapping[str, str],
    listed: bool,
) -> None:
    """The digest that counts is the one that the registry shows, often that of a list."""
    image = Image(layers, types, listed=listed)
    registry.images[f"{NAME}:1.2"] = image
    name = f"docker://{registry.address}/{NAME}"
    for reference in (
        f"{name}:1.2",
        f"{name}@{image.digest}",
        f"{name}:1.2@{image.digest}",
    ):
        stemcell_cid = fetched(daemon, reference, tmp_path, image_digest=image.digest)
        daemon.cpi.ok("delete_stemcell", stemcell_cid)
    # The tag leads to another image now.
    registry.images[f"{NAME}:1.2"] = Image(layers[:2], types, listed=listed)
    message = refusal(daemon, f"{name}:1.2", tmp_path, image_digest=image.digest)
    assert image.digest in message
    bare = f"{registry.address}/{NAME}:1.2"
    assert image.digest in refusal(daemon, bare, tmp_path, digest=image.digest)


@pytest.mark.parametrize("listed", [False, True], ids=["image", "list"])
def test_digests_of_a_layout(
    daemon: Daemon, layers: list[bytes], tmp_path: Path, listed: bool
) -> None:
    """The digest of an image in a layout counts as that in a registry does."""
    image = Image(layers, listed=listed)
    image.write_layout(tmp_path / "layout")
    reference = f"oci:{tmp_path}/layout"
    message = refusal(daemon, reference, tmp_path, image_digest=WRONG)
    assert f"has the digest {image.digest}, and not {WRONG}" in message
    stemcell_cid = fetched(daemon, reference, tmp_path, image_digest=image.digest)
    daemon.cpi.ok("delete_stemcell", stemcell_cid)


def test_altered_layer(
    daemon: Daemon, layers: list[bytes], registry: Registry, tmp_path: Path
) -> None:
    """A layer whose digest is not that in the manifest is not unpacked."""
    image = Image(layers)
    layer = next(d for d, kind in image.types.items() if kind == oci.OCI["layer"])
    image.blobs[layer] = image.blobs[layer][:-1] + b"x"
    registry.images[f"{NAME}:1.2"] = image
    message = refusal(daemon, f"docker://{registry.address}/{NAME}:1.2", tmp_path)
    assert "the image cannot be had" in message


def test_credentials(
    daemon: Daemon, layers: list[bytes], registry: Registry, tmp_path: Path
) -> None:
    """
    Credentials are taken from the file that the daemon was started with, and shown nowhere.
    """
    registry.credentials = CREDENTIALS
    registry.images[f"{NAME}:1.2"] = Image(layers)
    reference = f"docker://{registry.address}/{NAME}:1.2"
    known = {"auth": base64.b64encode(b"robot:wrong").decode()}
    path = tmp_path / "auth.json"
    path.write_text(json.dumps({"auths": {registry.address: known}}))
    assert "the image cannot be had" in refusal(daemon, reference, tmp_path)
    known["auth"] = base64.b64encode(CREDENTIALS.encode()).decode()
    path.write_text(json.dumps({"auths": {registry.address: known}}))
    stemcell_cid = fetched(daemon, reference, tmp_path)
    daemon.cpi.ok("delete_stemcell", stemcell_cid)
    assert "hunter2" not in daemon.log + daemon.stderr
    assert known["auth"] not in daemon.log + daemon.stderr


def reason_of_skopeo(reference: str, directory: Path) -> str:
    """Return why skopeo cannot copy an image, in the words of the skopeo of this host."""
    argv = ["skopeo", "copy", reference, f"oci:{directory}/copy"]
    failed = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert failed.returncode != 0, failed
    return failed.stderr.strip().rpartition(": ")[2].strip('"')


@pytest.mark.parametrize(
    "reference",
    [
        f"docker://127.0.0.1:1/{NAME}:1.2",
        "oci:/nonexistent",
        "oci-archive:/nonexistent.tar",
    ],
)
def test_what_is_not_there(daemon: Daemon, tmp_path: Path, reference: str) -> None:
    """The error for a missing image has skopeo's reason."""
    reason = reason_of_skopeo(reference, tmp_path)
    assert len(reason) > len("refused"), "skopeo gives a reason"
    assert reason in refusal(daemon, reference, tmp_path)


def test_no_root_file_system(daemon: Daemon, tmp_path: Path) -> None:
    """An image without a root file system is refused as an archive without one is."""
    Image([images.archive([images.entry("README", b"x")])]).write_layout(tmp_path / "l")
    assert "no root file system" in refusal(daemon, f"oci:{tmp_path}/l", tmp_path)
