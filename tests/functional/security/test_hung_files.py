"""Images on a file system that hangs: nobody but their caller waits."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from runc_cpi.daemon.host.images import reading
from tests.harness import hanging
from tests.harness.daemon import Daemon
from tests.harness.waiting import eventually

TIMEOUT = 60.0
# What hangs: the attributes of the image, or its first bytes.
ANSWERED = (0, 1 << 10)

pytestmark = pytest.mark.skipif(not hanging.is_there(), reason="there is no FUSE here")


class Caller:
    """A caller whose file hangs, and its output so far."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.lines: list[str] = []
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        self.lines += iter(self._process.stdout.readline, "")

    def end(self) -> None:
        """End the caller, and with it its file system."""
        self._process.kill()
        self._process.wait(TIMEOUT)
        self._listener.join(TIMEOUT)

    @property
    def hangs(self) -> bool:
        """Say whether a process waits for the file."""
        return f"{hanging.HANGS}\n" in self.lines

    @property
    def result(self) -> str | None:
        """Return the answer that the caller got."""
        told = [line.strip() for line in self.lines if line != f"{hanging.HANGS}\n"]
        return told[0] if told else None


@contextmanager
def calling(
    image: Path, point: Path, answered: int, use: str, argument: str
) -> Iterator[Caller]:
    """Start a caller whose file hangs as C{hanging} says."""
    point.mkdir(exist_ok=True)
    arguments = [str(image), str(answered), str(point), use, argument]
    with subprocess.Popen(
        [sys.executable, "-m", "tests.harness.hanging", *arguments],
        cwd=Path(__file__).parents[3],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        caller = Caller(process)
        try:
            yield caller
        finally:
            caller.end()


@pytest.mark.parametrize("answered", ANSWERED)
@pytest.mark.parametrize("what", ["head", "all"])
def test_a_file_is_given_up(tiny: Path, tmp_path: Path, answered: int, what: str) -> None:
    """Whatever of a file hangs, its reading is given up in time."""
    with calling(tiny, tmp_path / "p", answered, "read", what) as caller:
        result = eventually(lambda: caller.result, "the file is given up", TIMEOUT)
    if what == "head" and answered >= reading.HEADER_SIZE:
        assert result == "0"
    else:
        assert result is not None
        assert result.startswith("1 the image cannot be read: no answer of its file system")


@pytest.mark.parametrize("answered", ANSWERED)
def test_others_are_served(
    daemon: Daemon, tiny: Path, tmp_path: Path, answered: int
) -> None:
    """Calls of all kinds, also with other images, are served while several files hang."""
    argument = str(daemon.home / "cpi.json")
    points = [tmp_path / name for name in ("a", "b", "c")]
    hung = [calling(tiny, point, answered, "import", argument) for point in points]
    with hung[0] as first, hung[1] as second, hung[2] as third:
        for caller in (first, second, third):
            eventually(partial(getattr, caller, "hangs"), "the file hangs", TIMEOUT)
        assert daemon.cpi.ok("ping") == "pong"
        vm = daemon.create_vm(daemon.create_stemcell(tiny))
        assert vm.is_alive()
        daemon.cpi.ok("delete_vm", vm.cid)
        assert (first.result, second.result, third.result) == (None, None, None)
    eventually(lambda: not list(daemon.scratch.iterdir()), "all is cleared away", TIMEOUT)
    assert daemon.cpi.ok("ping") == "pong"
