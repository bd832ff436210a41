"""Runs programs so that nothing outlives them, neither processes nor mounts."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO


def run(
    argv: Sequence[str],
    *,
    environment: Mapping[str, str],
    output: IO[bytes],
    seconds: float,
    namespaces: Sequence[str] = (),
) -> int:
    """
    Run a program, and wait until all is gone that it started.

    @param environment: all of its environment.
    @param output: where it writes to.
    @param seconds: after how many it is ended.
    @param namespaces: options of unshare(1) for more than those of processes and mounts.
    @return: its exit status.
    @raise subprocess.TimeoutExpired: if it was ended.
    """
    process = subprocess.Popen(
        ["unshare", "--mount", "--pid", *namespaces, "--fork", "--kill-child=KILL", *argv],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
    )
    try:
        return process.wait(seconds)
    except BaseException:
        # The kernel ends a namespace with its first process, and only then is that reaped.
        for pid in _children(process.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        with suppress(subprocess.TimeoutExpired):
            process.wait(5)
        process.kill()
        process.wait()
        raise


def _children(parent: int) -> list[int]:
    """Return the children of a process, by what proc(5) says of each process."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with suppress(OSError):
            # The name is in brackets, and may hold any character.
            _, _, fields = Path("/proc", pid, "stat").read_text("utf-8").rpartition(")")
            if int(fields.split()[1]) == parent:
                found.append(int(pid))
    return found
