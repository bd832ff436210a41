"""
A daemon that can be made to die at a step of its choice.

Run in place of C{twistd}, with the same arguments.  What changes the state of the host or
of a record is wrapped; once the file L{ARM} is there, in the current directory, each step
is noted in L{NOTES} as it begins, and before the one that L{ARM} asks for, by its number
or by its name, the process kills itself.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

ARM = "die-at"
NOTES = "steps"
LAUNCHER = (sys.executable, str(Path(__file__).resolve()))


_here = os.open(".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)


def step(name: str) -> None:
    """Note a step, or end here."""
    try:
        wanted = _opened(ARM, os.O_RDONLY).read()
    except FileNotFoundError:
        return
    with _opened(NOTES, os.O_RDWR | os.O_CREAT | os.O_APPEND) as notes:
        number = len(notes.readlines()) + 1
        notes.write(name + "\n")
    if wanted in (str(number), name):
        os.unlink(ARM, dir_fd=_here)
        os.kill(os.getpid(), signal.SIGKILL)


def _opened(name: str, flags: int) -> Any:
    # A thread that visits a VM would look for any path there.
    fd = os.open(name, flags | os.O_CLOEXEC, 0o644, dir_fd=_here)
    return open(fd, "r+" if flags & os.O_RDWR else "r", encoding="utf-8")


def before(
    owner: Any, name: str, describe: Callable[..., str | None] | None = None
) -> None:
    """Make a function a step; C{describe} says what it is called, or that it is none."""
    function = getattr(owner, name)

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        called = name if describe is None else describe(*args, **kwargs)
        if called is not None:
            step(called)
        return function(*args, **kwargs)

    setattr(owner, name, wrapped)


def instrument() -> None:
    """Wrap all that matters."""
    from runc_cpi.daemon.domain import disks, vms
    from runc_cpi.daemon.drivers import guest, namespaces
    from runc_cpi.daemon.drivers.process import Processes
    from runc_cpi.daemon.rpc.protocol import CPIProtocol
    from runc_cpi.daemon.storage import depot

    def record(path: Path, _: Any) -> str:
        return f"write_record {path.name}"

    def renamed(draft: Path, _: Any) -> str:
        return f"rename {draft.name}"

    def node(name: Any, *_: Any, **__: Any) -> str | None:
        return f"node {str(name)[:4]}" if str(name).startswith("disk-") else None

    def rule(path: Path, *_: Any, **__: Any) -> str | None:
        return path.name if path.name.startswith("devices.") else None

    for module in (disks, vms):
        before(module, "write_record", record)
    before(Path, "rename", renamed)
    before(depot, "sync_directory", lambda path: f"sync {path.name[:4]}")
    before(Processes, "spawn", lambda _, argv, **__: f"spawn {argv[0]}")
    before(guest.GuestThread, "run", lambda _, work, *__: f"guest {work.__name__}")
    before(Path, "write_text", rule)
    before(os, "mknod", lambda *_, **__: "mknod")
    before(os, "unlink", node)
    before(namespaces, "mount")
    before(namespaces, "unmount")
    before(CPIProtocol, "sendBox", lambda *_: "answer")


if __name__ == "__main__":
    from twisted.scripts.twistd import run

    instrument()
    sys.exit(run())
