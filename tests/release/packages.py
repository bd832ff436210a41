"""Packages of the release, gathered and compiled as BOSH does it."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import yaml

PROJECT = Path(__file__).resolve().parents[2]
RELEASE = PROJECT / "operations" / "bosh-release"
BUILD = PROJECT / "operations" / "build-release"
# The PATH of a compilation VM, and about that of an operator's shell.
SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# The interpreter that the jobs find on SEARCH_PATH is the system's.
PYTHON = subprocess.run(
    ["/usr/bin/python3", "-c", "import sys; print('%d.%d' % sys.version_info[:2])"],
    stdout=subprocess.PIPE,
    text=True,
    check=True,
).stdout.strip()


def build(*arguments: str | Path, prefix: Sequence[str] = (), **environment: str) -> str:
    """
    Run build-release for this Python and this kind of machine.

    @return: what it prints.
    """
    wanted = ["--python", PYTHON, "--machine", os.uname().machine]
    return subprocess.run(
        [*prefix, BUILD, *wanted, *arguments],
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout


def cached_wheels(scratch: Path) -> Path:
    """
    Return a directory with the wheels that the daemon needs.

    They are fetched once for a set of dependencies. The tests have left the machine's
    network by now, but their parent process is in it.

    @param scratch: an empty directory.
    """
    key = sha256(PYTHON.encode())
    for path in sorted((PROJECT / "operations" / "locks").iterdir()):
        key.update(path.read_bytes())
    cache = PROJECT / ".cache" / "wheels" / key.hexdigest()[:16]
    cache.parent.mkdir(parents=True, exist_ok=True)
    with (cache.parent / "lock").open("w") as lock:
        # Another test process may want the same at the same time.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not cache.is_dir():
            outside = ["nsenter", f"--net=/proc/{os.getppid()}/ns/net"]
            build("--into", scratch / "release", "--no-tarball", prefix=outside)
            fetched = cache.with_suffix(".new")
            shutil.rmtree(fetched, ignore_errors=True)
            shutil.copytree(scratch / "release" / "src" / "runc-cpid" / "wheels", fetched)
            fetched.rename(cache)
    return cache


def files(package: Path) -> dict[str, list[Path]]:
    """Return the files of the release's C{src} that each pattern of a package matches."""
    spec = yaml.safe_load((package / "spec").read_text("utf-8"))
    src = package.parents[1] / "src"
    return {pattern: sorted(src.glob(pattern)) for pattern in spec["files"]}


def compile_package(
    package: Path, scratch: Path, target: Path, search_path: str = SEARCH_PATH
) -> subprocess.CompletedProcess[str]:
    """
    Run a packaging script on only the files that the package has.

    @param scratch: an empty directory to do it in. @param target: where the compiled
    package goes; it is made.
    """
    src = package.parents[1] / "src"
    for found in files(package).values():
        for path in found:
            copy = scratch / path.relative_to(src)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
    shutil.copyfile(package / "packaging", scratch / "packaging")
    target.mkdir(parents=True)
    environment = {
        "PATH": search_path,
        "BOSH_COMPILE_TARGET": str(scratch),
        "BOSH_INSTALL_TARGET": str(target),
        "BOSH_PACKAGE_NAME": package.name,
    }
    # With -x, as the CLI runs it; and with a umask that lets nobody else read.
    return subprocess.run(
        ["/bin/bash", "-x", "packaging"],
        cwd=scratch,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        umask=0o077,
    )
