"""This project's own files: ops-files, and what makes the release."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from hashlib import sha256
from pathlib import Path

import click

import runc_cpi
from runc_cpi import __version__
from runc_cpi.ctl.director.directory import StateDirectory
from runc_cpi.ctl.director.running import Runner

# Where operations/install has all versions.
INSTALLATIONS = Path("/opt/runc-cpi")
# What the release of the CPI is made of.
_MODULES = ("__init__", "errors", "faults", "json_text", "wire")


def root() -> Path:
    """
    Return the directory of this project.

    @raise click.ClickException: if it is not here.
    """
    here = Path(runc_cpi.__file__).resolve().parents[1]
    if (here / "operations" / "runc-cpi.yml").is_file():
        return here
    raise click.ClickException(
        f"{here} has no operations/runc-cpi.yml: this command needs the project's "
        "checkout, so run operations/director there"
    )


def operations() -> Path:
    """Return the directory of the ops-files."""
    return root() / "operations"


def program(name: str) -> Path:
    """
    Return the path of a program that is installed with this one.

    Of what operations/install has made, it leads to the version in use, also later.
    """
    here = Path(sys.executable).with_name(name)
    if not here.is_relative_to(INSTALLATIONS):
        return here
    below = Path(*here.relative_to(INSTALLATIONS).parts[1:])
    current = INSTALLATIONS / "current" / below
    return current if current.exists() else here


def installation(name: str) -> str:
    """Return the directory of a program's version; an update leads to another one."""
    return str(program(name).parent.resolve())


def release_version() -> str:
    """Return the version of the release, which differs with each change of its files."""
    base = root()
    release = base / "operations" / "bosh-release"
    files = [base / "runc_cpi" / f"{name}.py" for name in _MODULES]
    files += sorted((base / "runc_cpi" / "cpi").glob("*.py"))
    files += [base / "operations" / "build-release"]
    for part in ("config", "jobs", "launchers", "packages"):
        files += sorted(path for path in (release / part).rglob("*") if path.is_file())
    digest = sha256()
    for path in files:
        digest.update(f"{path.relative_to(base)}\0{path.stat().st_mode & 0o111}\0".encode())
        digest.update(sha256(path.read_bytes()).digest())
    # BOSH compares the parts of a version as numbers.
    return f"{__version__}+dev.{int(digest.hexdigest()[:12], 16)}"


def release_path(directory: StateDirectory) -> Path:
    """Return where the tarball of the release is, or will be."""
    return directory.release / f"bosh-runc-cpi-{release_version()}.tgz"


def make_release(bosh: Path, directory: StateDirectory, runner: Runner) -> bool:
    """
    Make the release of the CPI, unless there is one of these files.

    @param bosh: the bosh CLI.
    @return: whether it was made now.
    """
    target = release_path(directory)
    if target.exists():
        return False
    directory.release.mkdir(mode=0o700, exist_ok=True)
    draft = directory.release / "draft"
    shutil.rmtree(draft, ignore_errors=True)
    # build-release looks for a bosh on the PATH.
    with tempfile.TemporaryDirectory(prefix="runc-cpi-") as scratch:
        (Path(scratch) / "bosh").symlink_to(bosh)
        search_path = f"{scratch}:{os.environ.get('PATH', os.defpath)}"
        build = root() / "operations" / "build-release"
        runner.run(
            "release",
            [build, "--cpi-only", "--version", release_version(), "--into", draft],
            environment={"PATH": search_path, "HOME": str(directory.home)},
        )
    (draft / "bosh-runc-cpi.tgz").rename(target)
    shutil.rmtree(draft)
    return True


def remove_other_releases(directory: StateDirectory) -> None:
    """Remove the releases of other versions, which no VM has any more."""
    kept = release_path(directory)
    for path in directory.release.glob("bosh-runc-cpi-*.tgz"):
        if path != kept:
            path.unlink()
