"""OCI images: made up, in a layout on disk, and in a registry that serves them."""

from __future__ import annotations

import base64
import gzip
import json
import platform
import ssl
import tarfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

OCI = {
    "config": "application/vnd.oci.image.config.v1+json",
    "layer": "application/vnd.oci.image.layer.v1.tar+gzip",
    "manifest": "application/vnd.oci.image.manifest.v1+json",
    "index": "application/vnd.oci.image.index.v1+json",
}
DOCKER = {
    "config": "application/vnd.docker.container.image.v1+json",
    "layer": "application/vnd.docker.image.rootfs.diff.tar.gzip",
    "manifest": "application/vnd.docker.distribution.manifest.v2+json",
    "index": "application/vnd.docker.distribution.manifest.list.v2+json",
}
# As Go calls the kinds of machine.
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
MACHINE = ARCHITECTURES.get(platform.machine(), platform.machine())


class Image:
    """
    An image of layers, each a tar archive.

    @param types: L{OCI} or L{DOCKER}, whose media types it has.
    @param listed: whether its name leads to a list of images for kinds of machine.
    @ivar blobs: all that it consists of, by digest.
    @ivar digest: of what its name leads to.
    """

    def __init__(
        self,
        layers: Sequence[bytes],
        types: Mapping[str, str] = OCI,
        *,
        listed: bool = False,
    ) -> None:
        self.blobs: dict[str, bytes] = {}
        self.types: dict[str, str] = {}
        for_machine = {"architecture": MACHINE, "os": "linux"}
        diffs = [_digest(layer) for layer in layers]
        config = {**for_machine, "rootfs": {"type": "layers", "diff_ids": diffs}}
        manifest = {
            "schemaVersion": 2,
            "mediaType": types["manifest"],
            "config": self._put(types["config"], _dump(config)),
            "layers": [
                self._put(types["layer"], gzip.compress(layer, 1, mtime=0))
                for layer in layers
            ],
        }
        self._top = self._put(types["manifest"], _dump(manifest))
        if listed:
            manifests = [{**self._top, "platform": for_machine}]
            index = {
                "schemaVersion": 2,
                "mediaType": types["index"],
                "manifests": manifests,
            }
            self._top = self._put(types["index"], _dump(index))
        self.digest: str = self._top["digest"]

    def _put(self, media_type: str, data: bytes) -> dict[str, Any]:
        digest = _digest(data)
        self.blobs[digest], self.types[digest] = data, media_type
        return {"mediaType": media_type, "digest": digest, "size": len(data)}

    def write_layout(self, path: Path, tag: str = "latest") -> None:
        """Make an image layout of it."""
        blobs = path / "blobs" / "sha256"
        blobs.mkdir(parents=True)
        for digest, data in self.blobs.items():
            (blobs / digest.removeprefix("sha256:")).write_bytes(data)
        named = {**self._top, "annotations": {"org.opencontainers.image.ref.name": tag}}
        (path / "oci-layout").write_bytes(_dump({"imageLayoutVersion": "1.0.0"}))
        (path / "index.json").write_bytes(_dump({"schemaVersion": 2, "manifests": [named]}))

    def write_archive(self, path: Path, scratch: Path, tag: str = "latest") -> None:
        """Make an archive of its layout, which is left in C{scratch}."""
        self.write_layout(scratch, tag)
        with tarfile.open(path, "w") as archive:
            for entry in sorted(scratch.iterdir()):
                archive.add(entry, entry.name)


class Registry(ThreadingHTTPServer):
    """
    A registry that only gives.

    @param tls: its certificate and key, as PEM, in one file.
    @param credentials: C{user:password} that it wants to see, if any.
    @ivar images: by C{NAME:TAG}.
    @ivar asked: the paths that it was asked for.
    """

    daemon_threads = True

    def __init__(self, tls: Path, credentials: str | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tls)
        self.socket = context.wrap_socket(self.socket, server_side=True)
        self.credentials = credentials
        self.images: dict[str, Image] = {}
        self.asked: list[str] = []

    @property
    def address(self) -> str:
        """Where it is."""
        return f"127.0.0.1:{self.server_port}"

    @contextmanager
    def serving(self) -> Iterator[Registry]:
        """Serve meanwhile."""
        thread = threading.Thread(target=self.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield self
        finally:
            self.shutdown()
            thread.join()
            self.server_close()

    def find(self, path: str) -> tuple[str, str, bytes] | None:
        """Return the digest, media type and content of what a path leads to."""
        _, _, rest = path.partition("/v2/")
        name, kind, reference = (rest.rsplit("/", 2) + ["", ""])[:3]
        for full_name, image in self.images.items():
            if kind not in ("manifests", "blobs") or full_name.rpartition(":")[0] != name:
                continue
            named = full_name == f"{name}:{reference}"
            digest = image.digest if named else reference
            if digest in image.blobs:
                return digest, image.types[digest], image.blobs[digest]
        return None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Registry

    def do_GET(self) -> None:
        """Give what is asked for."""
        self.server.asked.append(self.path)
        wanted = self.server.credentials
        if wanted is not None:
            given = self.headers.get("Authorization", "").removeprefix("Basic ")
            if base64.b64decode(given).decode() != wanted:
                self._answer(401, b"", **{"WWW-Authenticate": 'Basic realm="here"'})
                return
        if self.path == "/v2/":
            self._answer(200, b"{}")
            return
        found = self.server.find(self.path)
        if found is None:
            self._answer(404, b'{"errors": [{"code": "MANIFEST_UNKNOWN"}]}')
            return
        digest, media_type, data = found
        told = {"Content-Type": media_type, "Docker-Content-Digest": digest}
        self._answer(200, data, **told)

    do_HEAD = do_GET

    def _answer(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


def _digest(data: bytes) -> str:
    return "sha256:" + sha256(data).hexdigest()


def _dump(document: Any) -> bytes:
    return json.dumps(document).encode()
