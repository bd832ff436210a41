"""The directory of a director: its state, variables, credentials, and what was fetched."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

DEFAULT = "/var/lib/runc-cpi/director"
# Without these a director cannot be changed or reached any more.
PRECIOUS = (
    *("settings.json", "vars.yml", "creds.yml", "state.json", "manifest.yml"),
    "told.json",
)
# What else there is; the lock tells that the directory is ours, and so goes last.
OTHERS = ("made", "release", "bin", "home", "log", "backups", "daemon.pid")
DRAFTS = ("bosh-deployment-*", *(f".{name}.new" for name in (*PRECIOUS, "daemon.pid")))
LOCK = "lock"
# What the lock holds; locks of other programs have no such text.
OURS = "runc-cpictl director\n"
BACKUPS = 20


class StateDirectory:
    """
    What C{director} keeps, for its owner alone.

    @ivar path: the directory.
    @ivar held: the descriptors that keep it locked, for programs that change something: it
        stays so until they have ended too, if this process is killed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.settings = self.path / "settings.json"
        # What the manifest's variables are.
        self.variables = self.path / "vars.yml"
        # What bosh create-env keeps: passwords, keys and certificates; and what there is.
        self.credentials = self.path / "creds.yml"
        self.state = self.path / "state.json"
        # The manifest as it was applied last, with the names of secrets in their places.
        self.manifest = self.path / "manifest.yml"
        # The digests of the configs that the director was told.
        self.told = self.path / "told.json"
        # What we write for bosh: ops-files, the key for the jumpbox.
        self.made = self.path / "made"
        self.jumpbox_key = self.made / "jumpbox.key"
        self.release = self.path / "release"
        self.bin = self.path / "bin"
        # Where the bosh CLI has its installations and downloads.
        self.home = self.path / "home"
        self.logs = self.path / "log"
        self.backups = self.path / "backups"
        self.held: tuple[int, ...] = ()
        self.daemon_pid = self.path / "daemon.pid"
        self.daemon_log = self.logs / "daemon.log"

    @property
    def is_there(self) -> bool:
        """Whether C{up} was ever begun here."""
        return self.settings.exists()

    def prepare(self) -> None:
        """
        Make it, for its owner alone.

        @raise click.ClickException: if it cannot be made, or is another's.
        """
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._refuse_anothers()
            if not self._has_lock():
                self.write(self.path / LOCK, OURS)
            for directory in (self.made, self.bin, self.home, self.logs, self.backups):
                directory.mkdir(mode=0o700, exist_ok=True)
            self.path.chmod(0o700)
        except OSError as error:
            message = f"--state-dir: {error.filename}: {error.strerror}"
            raise click.ClickException(message) from None

    def _refuse_anothers(self) -> None:
        owner = self.path.stat().st_uid
        if owner != os.geteuid():
            raise click.ClickException(
                f"--state-dir: {self.path} belongs to the user {owner}; "
                "it must be yours, as it holds credentials"
            )
        draft = f".{LOCK}.new"
        if any(path.name != draft for path in self.path.iterdir()) and not self.is_ours:
            raise click.ClickException(
                f"--state-dir: {self.path} has files, and none of a director; "
                "give a directory that is empty or not there"
            )

    @property
    def is_ours(self) -> bool:
        """Whether C{prepare} has made it, or a version that marked no lock."""
        if self._has_lock():
            return True
        try:
            found = json.loads(self.settings.read_text("utf-8"))
        except (OSError, ValueError):
            return False
        return isinstance(found, dict) and {"features", "disk_size", "cidr"} <= set(found)

    def _has_lock(self) -> bool:
        try:
            return (self.path / LOCK).read_text("utf-8") == OURS
        except (OSError, ValueError):
            return False

    @contextmanager
    def locked(self) -> Iterator[None]:
        """
        Hold it, so that no two commands change one director at a time.

        @raise click.ClickException: if another does.
        """
        with (self.path / LOCK).open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise click.ClickException(
                    f"another runc-cpictl director, or a program that it has started, is "
                    f"at work in {self.path}; wait for it"
                ) from None
            self.held = (lock.fileno(),)
            try:
                yield
            finally:
                self.held = ()

    def write(self, path: Path, text: str) -> None:
        """Write one of its files as a whole, for its owner alone."""
        write_whole(path, text, 0o600)

    def back_up(self) -> None:
        """Keep a copy of what is precious, unless the last copy is the same."""
        precious = [self.path / name for name in PRECIOUS if (self.path / name).exists()]
        copies = sorted(self.backups.glob("[0-9]*"))
        if not precious or (copies and _same(precious, copies[-1])):
            return
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        last = copies[-1].name if copies else ""
        number = int(last.rpartition("-")[2]) + 1 if last.startswith(stamp) else 0
        copy = self.backups / f"{stamp}-{number:02}"
        draft = self.backups / f".{copy.name}"
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700)
        for path in precious:
            write_whole(draft / path.name, path.read_text("utf-8"), 0o600)
        draft.rename(copy)
        for old in copies[: 1 - BACKUPS]:
            shutil.rmtree(old)

    def remove(self) -> list[str]:
        """
        Remove it, but for what is not ours.

        @return: the names of that.
        """
        drafts = [path.name for pattern in DRAFTS for path in self.path.glob(pattern)]
        for name in (*drafts, *OTHERS, *reversed(PRECIOUS), LOCK):
            remove_whole(self.path / name)
        left = sorted(path.name for path in self.path.iterdir())
        if not left:
            self.path.rmdir()
        return left


def write_whole(path: Path, text: str, mode: int) -> None:
    """Write a file that is there as a whole or not at all, whatever happens meanwhile."""
    draft = path.with_name(f".{path.name}.new")
    draft.unlink(missing_ok=True)
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with open(fd, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(fd)
    draft.replace(path)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def remove_whole(path: Path) -> None:
    """Remove a file, a directory with all that is in it, or nothing."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _same(paths: list[Path], copy: Path) -> bool:
    if {path.name for path in paths} != {path.name for path in copy.iterdir()}:
        return False
    return all((copy / path.name).read_bytes() == path.read_bytes() for path in paths)
