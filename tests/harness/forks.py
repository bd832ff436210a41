"""
Starts Python programs by forks of a process that has imported what daemons need.

Nearly all that the start of a daemon takes is to import its modules, and a test run starts
a thousand.  The program runs as it does by itself, from its first line, with its own
arguments, environment and files; only its modules are there already.
"""

from __future__ import annotations

import gc
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
REQUEST = 1 << 20  # bytes, at most
NUMBER = 16  # bytes
PATIENCE = 60.0  # seconds
# The processes that fork: each is in the namespaces that its programs are started in.
PLACES: list[int] = []


class Forked:
    """
    A program that was started, with the methods of C{subprocess.Popen} that tests use.

    @ivar pid: the process.
    @ivar returncode: how it ended: the exit status, or the negative number of a signal.
    """

    def __init__(self, told: socket.socket) -> None:
        self.returncode: int | None = None
        number, descriptors, _, _ = socket.recv_fds(told, NUMBER, 1)
        assert number, "the process that forks has ended"
        self.pid, (self._pidfd,), self._told = int(number), descriptors, told

    def poll(self) -> int | None:
        """Return C{returncode}, which is L{None} until the program has ended."""
        with suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """
        Wait for the end.

        @raise subprocess.TimeoutExpired: if it does not come in time.
        """
        if self.returncode is None:
            if not select.select([self._told], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
            self.returncode = int(self._told.recv(NUMBER))
            self._told.close()  # its pid may be used again from now on
            os.close(self._pidfd)
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal, unless the program has ended."""
        if self.poll() is None:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, number)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it."""
        self.send_signal(signal.SIGKILL)


def start(
    script: str,
    arguments: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    stdout: int,
    stderr: int,
    within: tuple[str, ...] = (),
) -> Forked:
    """
    Start a Python program.

    @param script: the path of the program.
    @param stdout: a descriptor, as C{stderr} is.
    @param within: a command line that runs another one in namespaces of its own.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.settimeout(PATIENCE)
    request = {"argv": [script, *arguments], "cwd": str(cwd), "env": dict(env)}
    with theirs:
        descriptors = [stdout, stderr, theirs.fileno()]
        socket.send_fds(_server(within)[0], [json.dumps(request).encode()], descriptors)
    return Forked(ours)


def place(within: tuple[str, ...]) -> int:
    """Return the process that forks programs within these namespaces."""
    return _server(within)[1]


@cache
def _server(within: tuple[str, ...]) -> tuple[socket.socket, int]:
    """
    Start the process that forks, in the namespaces that this one is in now, or within
    others.

    @return: where it takes requests, and its pid.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        process = subprocess.Popen(
            [*within, sys.executable, "-m", __name__, str(theirs.fileno())],
            cwd=PROJECT,
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
        )
    PLACES.append(process.pid)
    return ours, process.pid


def serve(requests: socket.socket) -> None:
    """Fork as asked, and tell how each program ended, until nobody asks any more."""
    asked = requests.fileno()
    # By the pidfd of a program: the socket to its client, who is told of its end.
    running: dict[int, socket.socket] = {}
    # By the descriptor of that socket: the socket, and the pidfd.
    ended: dict[int, tuple[socket.socket, int]] = {}
    while True:
        for ready in select.select([asked, *running, *ended], [], [])[0]:
            if ready in running:
                teller = running.pop(ready)
                with suppress(OSError):
                    teller.send(str(_exit_status(ready)).encode())
                ended[teller.fileno()] = (teller, ready)
                continue
            if ready in ended:
                # Whoever had it started has closed it: the pid is not needed any more.
                teller, pidfd = ended.pop(ready)
                teller.close()
                _bury(pidfd)
                continue
            content, descriptors, _, _ = socket.recv_fds(requests, REQUEST, 3)
            if not content:
                return
            *output, told = descriptors
            pid = os.fork()
            if pid == 0:
                _run(json.loads(content), *output)
            for descriptor in output:
                os.close(descriptor)
            teller, pidfd = socket.socket(fileno=told), os.pidfd_open(pid)
            with suppress(OSError):
                socket.send_fds(teller, [str(pid).encode()], [pidfd])
            running[pidfd] = teller


def _exit_status(pidfd: int) -> int:
    """Return how a program ended, as C{subprocess} has it, and leave it there."""
    told = os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOWAIT)
    assert told is not None
    return told.si_status if told.si_code == os.CLD_EXITED else -told.si_status


def _bury(pidfd: int) -> None:
    os.waitid(os.P_PIDFD, pidfd, os.WEXITED)
    os.close(pidfd)


def _run(request: dict[str, object], stdout: int, stderr: int) -> None:
    """Be the program."""
    argv, env = request["argv"], request["env"]
    assert isinstance(argv, list)
    assert isinstance(env, dict)
    os.dup2(stdout, 1)
    os.dup2(stderr, 2)
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(str(request["cwd"]))
    os.environ.clear()
    os.environ.update(env)
    sys.argv = argv
    sys.path[0] = os.path.dirname(argv[0])
    with open("/proc/self/comm", "w", encoding="utf-8") as name:
        name.write(os.path.basename(argv[0]))
    status: object = 1
    try:
        runpy.run_path(argv[0], run_name="__main__")
    except SystemExit as error:
        status = error.code
        if isinstance(status, str):
            print(status, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
    finally:
        # As at the end of a program, but nothing of the process that was forked runs.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status if isinstance(status, int) else int(status is not None))


def prepare() -> None:
    """Import what daemons need, but no reactor: each is to make its own."""
    from twisted.application.service import IServiceMaker
    from twisted.internet import epollreactor  # noqa: F401
    from twisted.plugin import getPlugins
    from twisted.scripts import twistd  # noqa: F401

    from runc_cpi.daemon import assembly, linux_host, tap  # noqa: F401

    for plugin in getPlugins(IServiceMaker):
        assert plugin.tapname

    assert "twisted.internet.reactor" not in sys.modules
    gc.collect()
    gc.freeze()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    prepare()
    serve(socket.socket(fileno=int(sys.argv[1])))
