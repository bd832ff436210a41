"""Where daemons are made, and what they leave is looked for."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from typing import Any, Protocol

from tests.harness import leaks, trees
from tests.harness.daemon import Daemon


class NewDaemon(Protocol):
    """Makes a daemon, which is not started yet."""

    def __call__(
        self,
        *,
        network_type: str = "unix",
        config: Mapping[str, Any] | None = None,
        path: str | None = None,
        within: tuple[str, ...] = (),
    ) -> Daemon: ...


class Lab:
    """
    All daemons of a test session.

    @ivar home: below it is everything that they and the tests write.
    @param place: where it is made; usually where temporary files are.
    """

    def __init__(self, place: Path | None = None) -> None:
        # Not where pytest has its own: sockets' paths must be short.
        self.home = Path(tempfile.mkdtemp(prefix="cpi", dir=place))
        self.home.chmod(0o755)
        # An ext4 without a journal is slow to make files in a group of blocks where others
        # were deleted a short time ago, so each daemon is to have groups of its own.
        subprocess.run(["chattr", "+T", self.home], check=False, stderr=subprocess.DEVNULL)
        self._numbers = count(1)
        self._daemons: list[Daemon] = []

    def close(self) -> None:
        """Remove everything."""
        trees.remove(self.home)

    def new_daemon(self, **options: Any) -> Daemon:
        """Make a daemon, which is not started yet."""
        number = next(self._numbers)
        home = self.home / str(number)
        home.mkdir()
        daemon = Daemon(home, number, **options)
        self._daemons.append(daemon)
        return daemon

    def _cgroups(self) -> list[str]:
        return [daemon.cgroup for daemon in self._daemons]

    @contextmanager
    def leaving_nothing(self) -> Iterator[None]:
        """
        Fail if anything is left at the end that was not there at the beginning.

        Daemons that were made meanwhile and have ended are removed with all they have.
        """
        earlier = list(self._daemons)
        before = leaks.find(self.home, self._cgroups())
        yield
        # The bridge stays, as other interfaces of the host do: the next start uses it.
        bridges = {
            leaks.Trace("link", str(daemon.config.get("bridge")))
            for daemon in self._daemons
        }
        # What a running daemon's cgroups are below belongs to that daemon.
        parents = {
            leaks.Trace("cgroup", str(path))
            for daemon in self._daemons
            if daemon.is_running
            for path in leaks.CGROUPS.glob(f"*/{daemon.cgroup}")
        }
        kept = before | bridges | parents
        found = leaks.settled(kept, self.home, self._cgroups())
        left = found - kept
        leaks.clear(left | (found & bridges) - before)
        assert not left, "left behind:\n" + "\n".join(sorted(map(str, left)))
        for daemon in self._daemons:
            if daemon not in earlier and not daemon.is_running:
                trees.remove(daemon.home)
        self._daemons = [daemon for daemon in self._daemons if daemon.home.exists()]

    @contextmanager
    def daemons(self) -> Iterator[NewDaemon]:
        """Lend daemons as L{lending} does; nothing may be left of them at the end."""
        with self.leaving_nothing(), self.lending() as lend:
            yield lend

    @contextmanager
    def lending(self) -> Iterator[NewDaemon]:
        """Lend daemons; at the end their VMs are deleted and they are stopped."""
        with ExitStack() as stack:

            def lend(**options: Any) -> Daemon:
                daemon = self.new_daemon(**options)
                stack.callback(_end, daemon)
                return daemon

            yield lend


def _end(daemon: Daemon) -> None:
    try:
        daemon.tear_down()
    finally:
        if daemon.is_running:
            daemon.kill()
