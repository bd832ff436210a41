"""User namespaces that hold the ids of a VM, for mounts that show its files as its own."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from runc_cpi.daemon.base.id_range import IdRange

# cat waits in the namespace, and ends with its input.
_WAITING = ("setpriv", "--pdeathsig=KILL", "--", "unshare", "--user", "cat")


@contextmanager
def user_namespace(ids: IdRange) -> Iterator[int]:
    """
    Make a user namespace with the ids of a VM.  This blocks.

    @return: its descriptor.  The namespace goes when the last that needs it does.
    @raise OSError: if the kernel refuses.
    """
    with subprocess.Popen(
        _WAITING,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        bufsize=0,
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(b"?")
        if process.stdout.read(1) != b"?":
            raise OSError("this host makes no user namespaces (user.max_user_namespaces)")
        for name in ("uid_map", "gid_map"):
            with open(f"/proc/{process.pid}/{name}", "w", encoding="ascii") as file:
                file.write(ids.mapping)
        namespace = os.open(f"/proc/{process.pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
        process.stdin.close()
    try:
        yield namespace
    finally:
        os.close(namespace)


def root_of_namespace(pid: int) -> int:
    """
    Return the host's id of user 0 in the user namespace of a process.

    The first process of a VM can have left the namespace that it was given, for one
    without such a user.  Then it is the host's user 0, who is nobody in the VM.

    @raise OSError: if the process ended.
    """
    with open(f"/proc/{pid}/uid_map", encoding="ascii") as file:
        for line in file:
            inside, outside, _ = map(int, line.split())
            if inside == 0:
                return outside
    return 0
