"""Trees of files of distributions, with a copy of this checkout in each."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from tests.distributions import contained, machine
from tests.distributions.releases import Release
from tests.harness.images import PROJECT

DEBOOTSTRAP = Path("/usr/share/debootstrap")
# Where a tree has the copy.
COPY = Path("/root/runc-cpi")
SECONDS = 1800.0


class NoTree(Exception):
    """A distribution could not be had; the message says where that is told."""


def make(release: Release, home: Path, mirror: str | None, log: Path) -> None:
    """
    Make the tree of a release, with a copy of this checkout.

    @param home: an empty directory; the tree is its C{root}.
    @param mirror: its archive; None is apt's, or else the one that debootstrap knows.
    @param log: the file that debootstrap's output is added to.
    @raise NoTree: if that fails, or takes too long.
    """
    family, root = release.family, home / "root"
    argv = [
        "debootstrap",
        "--variant=minbase",
        f"--components={','.join(family.components)}",
    ]
    if Path(family.keyring).exists():
        argv.append(f"--keyring={family.keyring}")
    else:
        print(f"{release.name}: signatures are not checked: there is no {family.keyring}")
        argv.append("--no-check-gpg")
    mirror = mirror or machine.mirror(family)
    argv += [release.suite, str(root), *([mirror] if mirror else [])]
    variables = {"DEBOOTSTRAP_DIR": str(_scripts(release, home)), **machine.apt_proxies()}
    with log.open("ab") as output:
        try:
            status = contained.run(
                argv,
                environment={**os.environ, **variables},
                output=output,
                seconds=SECONDS,
            )
        except subprocess.TimeoutExpired as error:
            raise NoTree(
                f"debootstrap took more than {SECONDS:.0f} s; see {log}"
            ) from error
    if status != 0:
        raise NoTree(f"debootstrap failed; see {log}")
    _add_updates(release, root / "etc/apt/sources.list")
    machine.hand_over(root)
    _copy_checkout(root)


def _scripts(release: Release, home: Path) -> Path:
    """Return a directory for debootstrap in which it finds how a release is made."""
    if (DEBOOTSTRAP / "scripts" / release.suite).exists():
        return DEBOOTSTRAP
    copy = home / "debootstrap"
    shutil.copytree(DEBOOTSTRAP, copy, symlinks=True)
    (copy / "scripts" / release.suite).symlink_to(release.family.script)
    return copy


def _add_updates(release: Release, sources: Path) -> None:
    """Let apt take a release's updates from where debootstrap found the release."""
    base = sources.read_text("utf-8").splitlines()[0]
    updates = [
        base.replace(f" {release.suite} ", f" {release.suite}{pocket} ")
        for pocket in release.family.pockets
    ]
    sources.write_text("".join(f"{line}\n" for line in (base, *updates)), "utf-8")


def _copy_checkout(root: Path) -> None:
    """Copy this checkout into a tree, without the files that git ignores."""
    target = root / COPY.relative_to("/")
    target.mkdir(parents=True)
    listing = ["git", "-C", str(PROJECT), "ls-files", "-z", "--cached", "--others"]
    names = subprocess.run(
        [*listing, "--exclude-standard"], stdout=subprocess.PIPE, check=True
    ).stdout.split(b"\0")
    here = [name for name in names if name and os.path.lexists(PROJECT / os.fsdecode(name))]
    subprocess.run(
        ["cp", "--archive", "--parents", "--target-directory", target, *here],
        cwd=PROJECT,
        check=True,
    )
