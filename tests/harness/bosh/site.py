"""A host on which C{runc-cpictl director} is used: its files, and what runs in the VM."""

from __future__ import annotations

import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.harness.bosh.vm import DirectorVM
from tests.harness.host import lose_all_but_the_disk
from tests.harness.images import PROJECT

TOOL = Path(sys.executable).with_name("runc-cpictl")
DEPLOYMENT = Path(__file__).with_name("deployment")
MARK = "# Written by runc-cpictl director, and changed by it again.\n"
CIDR = "10.93.7.0/24"
TIMEOUT = 150


class Site:
    """
    A host with a daemon's configuration, a stemcell, and a bosh CLI.

    @param home: an empty directory for everything; its path is short.
    @param image: of the stemcell.
    @param bosh: the real bosh CLI, or L{None} for what stands in for it.
    @ivar vm: what runs in the director's VM.
    @ivar bosh: the CLI; it can be L{broken}.
    """

    def __init__(self, home: Path, image: Path, bosh: Path | None = None) -> None:
        self.home = home
        self.bosh = breakable(home, stand_in(home) if bosh is None else bosh)
        self.state_dir, self.work_dir = home / "d", home / "w"
        self.config = home / "etc" / "config.yml"
        self.config.parent.mkdir()
        settings = f"work_dir: {self.work_dir}\nbridge: tdir\n"
        self.config.write_text(MARK + settings)
        self.stemcell = home / "stemcell.tgz"
        make_stemcell(self.stemcell, image, "1.0")
        self.vm = DirectorVM(self.work_dir, self.state_dir / "creds.yml")

    @contextmanager
    def broken(self, command: str) -> Iterator[None]:
        """Have one command of the CLI fail, after it has printed much."""
        mark = self.home / "broken"
        mark.write_text(command)
        yield
        mark.unlink()

    @property
    def usual(self) -> list[str | Path]:
        """The options of C{up} here."""
        return [
            *("--bosh-deployment", DEPLOYMENT, "--bosh-cli", self.bosh, "--no-systemd"),
            *("--stemcell", self.stemcell, "--cidr", CIDR, "--disk-size", "1024"),
        ]

    def run(
        self, *arguments: str | Path, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Run C{runc-cpictl director}, whatever comes of it."""
        # What up was told is kept for all others.
        named = ("--config", self.config) if arguments[0] == "up" else ()
        return subprocess.run(
            [
                *(TOOL, *named),
                *("director", "--state-dir", self.state_dir, *arguments),
            ],
            env={**os.environ, **variables},
            cwd=self.home,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )

    def ok(self, *arguments: str | Path, **variables: str) -> str:
        """Run it, which must succeed, and return what it says of its steps."""
        outcome = self.run(*arguments, **variables)
        assert outcome.returncode == 0, outcome.stderr
        return outcome.stderr

    def status(self) -> dict[str, str]:
        """Return what C{status} says."""
        told: dict[str, str] = json.loads(self.run("status", "-o", "json").stdout)
        return told

    def daemon_pid(self) -> int:
        """Return the daemon's pid."""
        return int((self.state_dir / "daemon.pid").read_text().split()[0])

    def reboot_host(self) -> None:
        """Take away what a reboot takes; nothing is started again."""
        os.kill(self.daemon_pid(), signal.SIGKILL)
        digest = hashlib.sha256(str(self.work_dir).encode()).hexdigest()
        lose_all_but_the_disk(self.work_dir, f"runc-cpid-{digest[:8]}")


def stand_in(home: Path) -> Path:
    """Write a program that stands in for the bosh CLI."""
    path = home / "stand-in"
    path.write_text(
        f"#!/bin/sh\nexport PYTHONPATH={PROJECT}\n"
        f'exec {sys.executable} -m tests.harness.bosh.cli "$@"\n'
    )
    path.chmod(0o755)
    return path


def breakable(home: Path, bosh: Path) -> Path:
    """Write a program that is the bosh CLI, but for the command that a file names."""
    path = home / "bosh"
    path.write_text(
        f"#!/bin/sh\nbroken=$(cat {home}/broken 2>/dev/null)\n"
        'case " $* " in\n'
        '  *" $broken "*) [ -z "$broken" ] || {\n'
        "    seq -f 'line %g' 150 >&2; echo \"$broken is out of order\" >&2; exit 1\n"
        "  };;\nesac\n"
        f'exec {bosh} "$@"\n'
    )
    path.chmod(0o755)
    return path


def make_stemcell(path: Path, image: Path, version: str) -> None:
    """Make a stemcell's tarball, as bosh takes it."""
    digest = hashlib.sha1(image.read_bytes()).hexdigest()
    manifest = (
        f"name: bosh-warden-tiny\nversion: '{version}'\nsha1: {digest}\napi_version: 3\n"
        "bosh_protocol: '1'\noperating_system: tiny\nstemcell_formats: [warden-tar]\n"
        "cloud_properties: {infrastructure: warden}\n"
    )
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        entry = tarfile.TarInfo("stemcell.MF")
        entry.size = len(manifest)
        archive.addfile(entry, io.BytesIO(manifest.encode()))
        archive.add(image, "image")
