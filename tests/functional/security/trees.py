"""A generator of trees that root in a VM could leave to attack the daemon."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random

from tests.functional.test_protected import IMMUTABLE, protect
from tests.harness import deep
from tests.harness.vm import SETTINGS

BOSH = "var/vcap/bosh"
# All paths that the daemon reads, writes, removes or walks in a VM's tree.
VISITED = (
    "etc",
    "etc/hostname",
    "etc/hosts",
    "etc/resolv.conf",
    "var",
    "var/vcap",
    BOSH,
    SETTINGS.lstrip("/"),
    f"{BOSH}/managed_disk_settings.json",
    f"{BOSH}/.warden-cpi-agent-env.json.new",
    f"{BOSH}/agent.json",
    "var/vcap/data",
    "var/vcap/data/sys",
    "var/vcap/store",
    "warden-cpi-dev",
    "run",
    "run/x.pid",
    "dev",
    "proc",
    "sys",
)
# Most trees have something at these, since the daemon writes to them.
FAVOURITES = (SETTINGS.lstrip("/"), f"{BOSH}/.warden-cpi-agent-env.json.new", "run")
CONTENTS = (
    b"",
    b"[" * 200_000,
    b'{"disks": ' * 1000,
    b'{"disks": {"persistent": {"disk-x": {"path": ["/dev/sda"]}}}}',
    b'{"disks": {"persistent": 7}, "networks": {"a": {"ip": "10.99.0.1"}}}',
    json.dumps({"networks": {"a": {"ip": "10.99.0.2"}}}).encode(),
    b"9" * 5000,
    b'"\\ud800"',
    b"\xff\xfe\0",
    b"disk-00000000-0000-0000-0000-000000000000",
    b"../../../etc\n",
    b"\xe2\x80\xa8\x1b]52;c;aGk=\x07",
)
DEEP, DEEPER = 40, 1500


@dataclass(frozen=True, kw_only=True)
class Intent:
    """
    What trees try to reach.

    @ivar outside: a directory that is not the daemon's. @ivar device: the number of a block
    device that is not the daemon's.
    """

    outside: Path
    device: int


def grow(random: Random, top: Path, intent: Intent, *, immutable: bool = False) -> None:
    """
    Put odd things in the places that the daemon visits.

    @param random: decides; the same seed gives the same tree. @param top: the root of the
    tree, which may have something in it. @param immutable: whether some of it is to have
    the flag that chattr(1) calls C{i}.
    """
    places = [place for place in FAVOURITES if random.random() < 0.6]
    places += random.sample(VISITED, random.randrange(1, 6))
    places += [os.fsdecode(any_name(random)) for _ in range(random.randrange(3))]
    for place in places:
        plant(random, top, place, intent)
    if immutable:
        for place in (*FAVOURITES, *random.sample(VISITED, 4)):
            _pin(top, place)


def _pin(top: Path, place: str) -> None:
    """Make what is in a place immutable, if it is a directory or an ordinary file."""
    with suppress(OSError):
        path = _reached(top, place)
        if stat.S_ISDIR(_mode(path)) or stat.S_ISREG(_mode(path)):
            protect(path, IMMUTABLE)


def plant(random: Random, top: Path, place: str, intent: Intent) -> None:
    """Put something in one place, unless its parent is no directory."""
    with suppress(OSError):
        path = _reached(top, place)
        if stat.S_ISDIR(_mode(path)):
            path.rename(path.with_name(f"was-{random.getrandbits(32)}"))
        path.unlink(missing_ok=True)
        random.choice(KINDS)(random, path, intent)


def _reached(top: Path, place: str) -> Path:
    """
    Make the parents of a place; no link is followed, since it could lead to the host.

    @raise NotADirectoryError: if a parent is something else.
    """
    path = top
    for part in Path(place).parts[:-1]:
        path /= part
        if not _mode(path):
            path.mkdir()
        elif not stat.S_ISDIR(_mode(path)):
            raise NotADirectoryError(path)
    return top / place


def _mode(path: Path) -> int:
    try:
        return path.lstat().st_mode
    except FileNotFoundError:
        return 0


def any_name(random: Random) -> bytes:
    """Return a name of any bytes that the kernel takes."""
    name = random.randbytes(random.choice([1, 3, 20, 200]))
    name = name.replace(b"/", b"\n").replace(b"\0", b"\xe2\x80\xa8")[:255]
    return b"..." if name in (b".", b"..") else name


def _file(random: Random, path: Path, intent: Intent) -> None:
    path.write_bytes(random.choice(CONTENTS))
    path.chmod(random.choice([0, 0o600, 0o644, 0o4777, 0o7777]))


def _large(random: Random, path: Path, intent: Intent) -> None:
    path.touch()
    os.truncate(path, 1 << 40)


def _directory(random: Random, path: Path, intent: Intent) -> None:
    path.mkdir()
    for _ in range(random.randrange(5)):
        plant(random, path, os.fsdecode(any_name(random)), intent)
    path.chmod(random.choice([0, 0o755, 0o1777, 0o7777]))


def _chasm(random: Random, path: Path, intent: Intent) -> None:
    path.mkdir()
    with deep.made_below(path, DEEPER if random.random() < 0.03 else DEEP):
        pass  # it is all that is wanted


def _pipe(random: Random, path: Path, intent: Intent) -> None:
    os.mkfifo(path)


def _socket(random: Random, path: Path, intent: Intent) -> None:
    os.mknod(path, stat.S_IFSOCK | 0o666)


def _disk(random: Random, path: Path, intent: Intent) -> None:
    os.mknod(path, stat.S_IFBLK | 0o666, intent.device)


def _terminal(random: Random, path: Path, intent: Intent) -> None:
    # A whiteout of overlayfs, a console, and a device without an end.
    number = random.choice([(0, 0), (5, 1), (1, 5)])
    os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(*number))


def _link(random: Random, path: Path, intent: Intent) -> None:
    outside = str(intent.outside)
    targets = [
        outside,
        f"{outside}/kept",
        f"{outside}/new",
        "../" * 12 + outside.lstrip("/"),
        f"/proc/1/root{outside}",
        f"/proc/self/root{outside}/kept",
        "/proc/self/fd/0",
        "/proc/self/cwd",
        "/sys",
        "/",
        ".",
        "..",
        path.name,
        "x/" * 2000 + "x",
        "\u2028",
    ]
    path.symlink_to(random.choice(targets))


KINDS: tuple[Callable[[Random, Path, Intent], None], ...] = (
    *(_file, _file, _large, _directory, _chasm, _pipe, _socket, _disk, _terminal),
    *(_link, _link),
)
