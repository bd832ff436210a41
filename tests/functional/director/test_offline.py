"""A director on a host with no way out: this namespace has none but to a server here."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import subprocess
import tarfile
from collections.abc import Iterator, Mapping
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from tests.harness.bosh.site import DEPLOYMENT, Site

RELEASE = "name: extra\nversion: '1'\ncommit_hash: none\njobs: []\npackages: []\n"
GIT = ("git", "-c", "user.name=t", "-c", "user.email=t@example.com")


class Quiet(SimpleHTTPRequestHandler):
    """Serves files, and says nothing."""

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


class Internet:
    """
    What is elsewhere: a release and a stemcell behind a server, and a repository.

    @ivar options: name all of it.
    """

    def __init__(self, site: Site, path: Path) -> None:
        served = path / "served"
        served.mkdir()
        shutil.copy(site.stemcell, served / "stemcell.tgz")
        with tarfile.open(served / "extra.tgz", "w:gz") as archive:
            member = tarfile.TarInfo("./release.MF")
            member.size = len(RELEASE)
            archive.addfile(member, io.BytesIO(RELEASE.encode()))
        handler = partial(Quiet, directory=str(served))
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        Thread(target=self._server.serve_forever, args=(0.05,)).start()
        url = f"http://127.0.0.1:{self._server.server_port}"
        release = {
            "name": "extra",
            "version": "1",
            "url": f"{url}/extra.tgz",
            "sha1": digest(served / "extra.tgz"),
        }
        ops = path / "extra.yml"
        operation = {"type": "replace", "path": "/releases/-", "value": release}
        ops.write_text(json.dumps([operation]))
        self.options: list[str | Path] = [
            *("--bosh-cli", site.bosh, "--ops", ops),
            *("--bosh-deployment", f"{repository(path, release)}@main"),
            *("--stemcell", f"{url}/stemcell.tgz"),
            *("--stemcell-sha1", digest(served / "stemcell.tgz")),
        ]

    def end(self) -> None:
        """Be there no more."""
        self._server.shutdown()
        self._server.server_close()


def digest(path: Path) -> str:
    """Return a file's digest."""
    return hashlib.sha1(path.read_bytes()).hexdigest()


def repository(path: Path, release: Mapping[str, str]) -> str:
    """Make a repository with bosh-deployment, whose DNS has a release; return its URL."""
    tree = path / "repository"
    shutil.copytree(DEPLOYMENT, tree)
    runtime_config = {"releases": [release], "addons": []}
    (tree / "runtime-configs" / "dns.yml").write_text(json.dumps(runtime_config))
    for arguments in (
        ["init", "--quiet", "--initial-branch", "main"],
        ["add", "."],
        ["commit", "--quiet", "--message", "all"],
    ):
        subprocess.run([*GIT, "-C", str(tree), *arguments], check=True)
    return f"file://{tree}"


@pytest.fixture
def internet(site: Site, tmp_path: Path) -> Iterator[Internet]:
    """What is elsewhere, until the test is over."""
    internet = Internet(site, tmp_path)
    yield internet
    internet.end()


def test_offline(site: Site, internet: Internet, tmp_path: Path) -> None:
    """C{fetch} gets all that C{up} takes, which then needs nothing from elsewhere."""
    cache = tmp_path / "cache"
    told = site.ok("fetch", cache, *internet.options)
    assert "2 releases" in told
    index = json.loads((cache / "index.json").read_text())
    assert len(index) == 3
    fetched = {path: path.stat().st_mtime_ns for path in cache.iterdir()}
    site.ok("fetch", cache, *internet.options)
    now = {path: path.stat().st_mtime_ns for path in cache.iterdir()}
    assert now == fetched
    internet.end()
    shutil.rmtree(tmp_path / "repository")

    here: list[str | Path] = ["--offline", cache, "--no-systemd"]
    here += ["--cidr", "10.93.8.0/24", "--with", "dns"]
    here += ["--disk-size", "1024"]
    (release,) = cache.glob("*extra.tgz")
    kept = release.read_bytes()
    release.write_bytes(b"another")
    refused = site.run("up", *internet.options, *here)
    assert refused.returncode == 1
    assert f"{release}: its sha256 is " in refused.stderr
    release.write_bytes(kept)
    site.ok("up")
    assert site.status()["director"]
    manifest = (site.state_dir / "manifest.yml").read_text()
    assert f"url: file://{release}" in manifest
    assert "http://" not in manifest
    assert site.vm.api is not None
    assert "POST /releases" in site.vm.api.calls
    looks_inside(site)
    site.ok("destroy", "--yes")


def looks_inside(site: Site) -> None:
    """Without a jumpbox the runtime leads into the VM; there are the logs of jobs."""
    script = "mkdir -p /var/vcap/sys/log/a; echo 1 >$0; echo 2 >>$0; hostname"
    log = "/var/vcap/sys/log/a/b.log"
    told = site.run("ssh", "sh", "-c", script, log)
    assert (told.returncode, told.stderr) == (0, "")
    assert "BOSH_ALL_PROXY" not in site.run("print-env").stdout
    assert site.run("logs", "-n", "1").stdout == "2\n"
