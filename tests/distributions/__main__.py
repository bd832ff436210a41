"""
C{operations/test --distributions}: try the project on distributions.

Each gets a tree of files by debootstrap in a directory of its own below TMPDIR or
/var/tmp.  It is removed at the end, unless --keep is given.
"""

from __future__ import annotations

import argparse
import io
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.distributions import settings, table, trees
from tests.distributions.cell import Cell
from tests.distributions.releases import RELEASES, Release
from tests.distributions.trial import NotPrepared, Outcome, Trial
from tests.harness.images import PROJECT

LOGS = PROJECT / ".cache" / "distributions"


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="operations/test --distributions",
        description="Try the project on distributions, one after the other.",
    )
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help=f"which ones; without any, all: {', '.join(RELEASES)}",
    )
    parser.add_argument(
        "--mirror",
        action="append",
        default=[],
        metavar="FAMILY=URL",
        help="the archive of Debian or Ubuntu; else the one that apt has, or debootstrap",
    )
    parser.add_argument("--keep", action="store_true", help="keep the trees of files")
    told = parser.parse_args()
    for name in told.names:
        if name not in RELEASES:
            parser.error(f"{name}: not one of {', '.join(RELEASES)}")
    families = sorted({release.family.name for release in RELEASES.values()})
    told.mirrors = dict(mirror.partition("=")[::2] for mirror in told.mirror)
    for family, url in told.mirrors.items():
        if family not in families or not url:
            parser.error(
                f"--mirror: {family}={url}: must be {'=URL or '.join(families)}=URL"
            )
    return told


def attempt(release: Release, mirror: str | None, *, keep: bool) -> Outcome:
    """Make the tree of a release, try everything in it, and remove it."""
    LOGS.mkdir(parents=True, exist_ok=True)
    log = LOGS / f"{release.name}.log"
    log.unlink(missing_ok=True)
    with directory(release, keep=keep) as home:
        cell = Cell(home / "root")
        try:
            trees.make(release, home, mirror, log)
            return Trial(cell, log).run(release.name)
        finally:
            for line in cell.clean():
                print(f"{release.name}: left behind, and removed now: {line}")


@contextmanager
def directory(release: Release, *, keep: bool) -> Iterator[Path]:
    """Make a directory for a release, and remove it at the end, unless it is kept."""
    top = os.environ.get("TMPDIR", "/var/tmp")
    home = Path(tempfile.mkdtemp(prefix=f"runc-cpi-{release.name}-", dir=top))
    try:
        yield home
    finally:
        if keep:
            print(f"{release.name}: its files stay in {home}")
        else:
            subprocess.run(["rm", "-rf", "--one-file-system", home], check=True)


def main() -> None:
    """Try each distribution, and write the table."""
    told = parse()
    if os.geteuid() != 0:
        sys.exit("operations/test --distributions: must be run as root")
    # Whoever reads what it says is told at once.
    assert isinstance(sys.stdout, io.TextIOWrapper)
    sys.stdout.reconfigure(line_buffering=True)
    # What ends this also removes what is there.
    for number in (signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    before, is_good = settings.read(), True
    for name in told.names or RELEASES:
        release = RELEASES[name]
        try:
            outcome = attempt(
                release, told.mirrors.get(release.family.name), keep=told.keep
            )
        except (trees.NoTree, NotPrepared) as error:
            print(f"{name}: {error}")
            is_good = False
            continue
        table.write([outcome])
        is_good &= outcome.is_good
    for line in settings.changed(before):
        print(f"the settings of this machine's kernel have changed: {line}")
        is_good = False
    sys.exit(0 if is_good else 1)


if __name__ == "__main__":
    main()
