"""A daemon of Docker, which docker-cpi works with: one that is there, or one of our own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from socket import AF_UNIX, SOCK_STREAM, socket
from typing import Any

from tests.harness import trees
from tests.harness.waiting import eventually

SCHEME = "unix://"
START_TIMEOUT = 60.0
STOP_TIMEOUT = 60.0
CGROUPS = Path("/sys/fs/cgroup")


class NoDocker(Exception):
    """There is no daemon of Docker to be had; the message says why."""


class _Connection(HTTPConnection):
    """A connection to a unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=START_TIMEOUT)
        self._path = path

    def connect(self) -> None:
        self.sock = socket(AF_UNIX, SOCK_STREAM)
        self.sock.connect(self._path)


class DockerHost:
    """
    A daemon of Docker.

    @param url: where it listens, as C{DOCKER_HOST} has it; it must be a unix socket.
    """

    def __init__(self, url: str) -> None:
        if not url.startswith(SCHEME):
            raise NoDocker(f"DOCKER_HOST: {url!r} must begin with {SCHEME}")
        self.url = url

    def _ask(self, method: str, path: str) -> Any:
        connection = _Connection(self.url.removeprefix(SCHEME))
        try:
            connection.request(method, path)
            text = connection.getresponse().read()
        finally:
            connection.close()
        return json.loads(text or "null")

    def version(self) -> dict[str, Any]:
        """
        Return what it says of itself.

        @raise OSError: if it does not answer.
        """
        answer: dict[str, Any] = self._ask("GET", "/version")
        return answer

    def api_version(self) -> str:
        """Return the version of its API."""
        return str(self.version()["ApiVersion"])

    def remove_network(self, name: str) -> None:
        """Remove a network; one that is not there is no error."""
        self._ask("DELETE", f"/networks/{name}")


def can_be_had() -> bool:
    """Say whether L{docker_host} knows of a daemon of Docker."""
    return bool(os.environ.get("DOCKER_HOST") or shutil.which("dockerd"))


@contextmanager
def docker_host(home: Path) -> Iterator[DockerHost]:
    """
    Return the daemon that C{DOCKER_HOST} names, or start one for a while.

    @param home: where that one keeps what it has.
    @raise NoDocker: if C{DOCKER_HOST} is not set, and no dockerd is on the search path or
        it does not start.
    """
    named = os.environ.get("DOCKER_HOST")
    if named:
        yield DockerHost(named)
        return
    program = shutil.which("dockerd")
    if program is None:
        raise NoDocker("DOCKER_HOST is not set, and there is no dockerd on the search path")
    home.mkdir()
    group, host = f"runc-cpi-benchmark-{os.getpid()}", DockerHost(f"{SCHEME}{home}/s")
    argv = [program, f"--host={host.url}", f"--pidfile={home}/pid"]
    argv += [f"--data-root={home}/data", f"--exec-root={home}/exec"]
    argv += [f"--cgroup-parent={group}", "--bip=172.30.0.1/16"]
    apart = ["unshare", "--mount", "--propagation", "private", "--"]
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(
            [*apart, *argv], stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    try:
        _wait_for(host, process, home / "log")
        yield host
    finally:
        end(process, STOP_TIMEOUT)
        for directory in (CGROUPS / group, *CGROUPS.glob(f"*/{group}")):
            try:
                directory.rmdir()
            except FileNotFoundError:
                continue
            except OSError as error:
                print(f"a cgroup of Docker may be left: {error}")
        trees.remove(home)


def end(process: subprocess.Popen[bytes], timeout: float) -> None:
    """Ask a process to end; kill it if it has not ended after so many seconds."""
    process.terminate()
    try:
        process.wait(timeout)
    except subprocess.TimeoutExpired:
        print(f"process {process.pid} does not end, and is killed")
        process.kill()
        process.wait()


def _wait_for(host: DockerHost, process: subprocess.Popen[bytes], log: Path) -> None:
    def answers_or_ended() -> bool:
        if process.poll() is not None:
            return True
        try:
            return bool(host.version())
        except OSError:
            return False

    eventually(answers_or_ended, "dockerd answers", START_TIMEOUT)
    if process.poll() is not None:
        last = log.read_text("utf-8", "replace").strip().splitlines()[-1:]
        raise NoDocker(f"dockerd did not start: {''.join(last)}")
