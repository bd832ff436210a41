"""
A daemon that can be made to die at a step of its choice.

Run in place of C{twistd}, with the same arguments.  A step is what changes the state of
the host or of a file.  Python itself tells of most of them, before they happen
(sys.addaudithook); what it does not tell of is wrapped.

Once the file L{ARM} is there, in the current directory, each step is noted in L{NOTES} as
it begins, and before the one that the first line of L{ARM} asks for, by its number or by
its name, the process kills itself.  Further lines name steps that do not count, or kinds
of them.
"""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from threading import Lock, local
from typing import Any

ARM = "die-at"
NOTES = "steps"
LAUNCHER = (sys.executable, str(Path(__file__).resolve()))

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
# What Python tells of, and which argument says what is changed.
EVENTS = {
    "fcntl.ioctl": 1,
    "os.chmod": 0,
    "os.chown": 0,
    "os.link": 1,
    "os.mkdir": 0,
    "os.remove": 0,
    "os.removexattr": 0,
    "os.rename": 1,
    "os.rmdir": 0,
    "os.setxattr": 0,
    "os.symlink": 1,
    "os.truncate": 0,
    "os.utime": 0,
    "subprocess.Popen": 1,
}
# What the daemon changes by rtnetlink without a library, by the type of the message.
RTNETLINK = {
    16: "link add",
    17: "link del",
    19: "link set",
    20: "addr add",
    24: "route add",
    25: "route del",
    32: "rule add",
    36: "tc add",
    44: "tc replace-filter",
}
# No state: the means by which steps are noted, and what Python keeps for itself.
_IGNORED = re.compile(rf"(.*/)?({ARM}|{NOTES})|/dev/null|/proc/.*|.*/__pycache__/.*")
_UUID = re.compile(r"-?[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_OPERATIONS = {"create", "start", "delete", "exec"}
_lock = Lock()
_thread = local()
_here = os.open(".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)


def step(name: str) -> None:
    """Note a step, or end here."""
    with _lock:
        try:
            with _opened(ARM, os.O_RDONLY) as arm:
                wanted, *ignored = arm.read().splitlines()
        except FileNotFoundError:
            return
        if name in ignored or name.partition(" ")[0] in ignored:
            return
        with _opened(NOTES, os.O_RDWR | os.O_CREAT | os.O_APPEND) as notes:
            number = len(notes.readlines()) + 1
            is_last = wanted in (str(number), name)
            if is_last:
                # Whoever finds the note can tell by this that the end is near.
                os.unlink(ARM, dir_fd=_here)
            notes.write(name + "\n")
        if is_last:
            os.kill(os.getpid(), signal.SIGKILL)


def _opened(name: str, flags: int) -> Any:
    # A thread that visits a VM would look for any path there.
    fd = os.open(name, flags | os.O_CLOEXEC, 0o644, dir_fd=_here)
    return open(fd, "r+" if flags & os.O_RDWR else "r", encoding="utf-8")


def heard(event: str, arguments: tuple[Any, ...]) -> None:
    """Make steps of those of Python's audit events that change the host."""
    if getattr(_thread, "deaf", False):
        return
    if event == "open":
        path, _, flags = arguments
        if flags & WRITING and not isinstance(path, int) and not _is_ignored(path):
            step(f"open {short(path)}")
    elif event in EVENTS:
        what = arguments[EVENTS[event]]
        if event == "subprocess.Popen":
            step(f"spawn {program(what)}")
        elif event == "fcntl.ioctl":
            step(f"ioctl {what:#x}")
        elif not _is_ignored(what):
            step(f"{event.partition('.')[2]} {short(what)}")


def _is_ignored(path: Any) -> bool:
    return isinstance(path, (str, bytes, os.PathLike)) and bool(
        _IGNORED.fullmatch(os.fsdecode(path))
    )


def short(what: Any) -> str:
    """Name a file so that it is called the same each time, if it is given by its name."""
    if isinstance(what, (str, bytes, os.PathLike)):
        return _UUID.sub("", os.path.basename(os.fsdecode(what)))
    return "-"


def program(argv: Iterable[Any]) -> str:
    """Name a program, and what it is told to do if that is a runtime's operation."""
    words = [short(word) for word in argv]
    return " ".join([words[0], *(word for word in words[1:] if word in _OPERATIONS)])


def before(owner: Any, name: str, describe: Callable[..., str | None]) -> None:
    """Make each call of a function a step; C{describe} returns its name, or L{None}."""
    function = getattr(owner, name)

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        if (called := describe(*args, **kwargs)) is not None:
            step(called)
        return function(*args, **kwargs)

    setattr(owner, name, wrapped)


def as_one(owner: Any, name: str, called: str) -> None:
    """Make each call of a function a step of that name."""
    function = getattr(owner, name)

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        step(called)
        _thread.deaf = True
        try:
            return function(*args, **kwargs)
        finally:
            _thread.deaf = False

    setattr(owner, name, wrapped)


def instrument() -> None:
    """Begin to note steps: audit events, and calls of the functions below."""
    from pyroute2 import IPRoute

    from runc_cpi.daemon.host import detached_mounts, mounting
    from runc_cpi.daemon.host.cgroups import device_program, hierarchies
    from runc_cpi.daemon.host.cgroups.devices import RulesV1
    from runc_cpi.daemon.host.disks import root_disks
    from runc_cpi.daemon.host.files import trees
    from runc_cpi.daemon.host.network import conntrack, libnftables, rtnetlink
    from runc_cpi.daemon.host.oci import exec_fifo
    from runc_cpi.daemon.rpc.protocol import CPIProtocol

    sys.addaudithook(heard)
    for name in ("fsync", "mknod", "posix_fallocate"):
        before(os, name, lambda *_, name=name, **__: name)
    before(signal, "pidfd_send_signal", lambda _, number: f"signal {number}")
    for name in (
        "mount",
        "mount_harmless",
        "mount_memory",
        "bind",
        "make_file_system_writable",
        "share_root",
        "unmount",
        "detach",
    ):
        before(mounting, name, lambda *_, name=name: name)
    before(detached_mounts, "move", lambda *_: "move mount")
    before(root_disks, "sync_file_system", lambda *_: "syncfs")
    before(libnftables, "run", _rules)
    before(conntrack, "forget", lambda *_: "forget flow")
    before(rtnetlink, "change", _change)
    before(exec_fifo, "let_run", lambda *_: "start container")
    before(device_program, "allow", lambda *_: "bpf")
    before(trees, "sync_file_system", lambda *_: "syncfs")
    as_one(hierarchies, "remove", "remove cgroups")
    as_one(RulesV1, "fence", "fence")
    before(CPIProtocol, "sendBox", lambda *_: "answer")
    _instrument_netlink(IPRoute)
    _instrument_content()
    _instrument_children()


def _change(kind: int, _: bytes, flags: int = 0) -> str:
    replaces = RTNETLINK[kind] == "route add" and flags & 0x100  # NLM_F_REPLACE
    return "route replace" if replaces else RTNETLINK[kind]


def _rules(commands: str) -> str | None:
    return None if commands.startswith("list") else "rules"


def _instrument_netlink(route: Any) -> None:
    find = route.__getattr__

    def found(self: Any, name: str) -> Any:
        function = find(self, name)
        if name not in ("link", "addr", "route", "tc", "brport", "neigh", "fdb"):
            return function

        def wrapped(command: str, *arguments: Any, **more: Any) -> Any:
            if command not in ("get", "dump"):
                step(f"{name} {command}")
            return function(command, *arguments, **more)

        return wrapped

    route.__getattr__ = found


def _instrument_content() -> None:
    """Make it a step of its own that a file is there, and its content is not."""
    write = Path.write_text

    def in_two_steps(self: Path, *args: Any, **kwargs: Any) -> int:
        if getattr(_thread, "deaf", False):
            return write(self, *args, **kwargs)
        self.open("w").close()
        step(f"write {short(self)}")
        _thread.deaf = True
        try:
            return write(self, *args, **kwargs)
        finally:
            _thread.deaf = False

    Path.write_text = in_two_steps  # type: ignore[method-assign]


def _instrument_children() -> None:
    """Make steps of the start and the end of each child process."""
    from runc_cpi.daemon.host.processes import Processes

    spawn = Processes.spawn

    def wrapped(self: Processes, argv: Any, **arguments: Any) -> Any:
        name = program(argv)
        step(f"spawn {name}")
        child = spawn(self, argv, **arguments)
        step(f"running {name}")

        def ended(outcome: Any) -> Any:
            step(f"ended {name}")
            return outcome

        child.ended.addCallback(ended)
        return child

    Processes.spawn = wrapped  # type: ignore[method-assign]


if __name__ == "__main__":
    from twisted.scripts.twistd import run

    instrument()
    sys.exit(run())
