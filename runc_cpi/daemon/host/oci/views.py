"""Mount namespaces without the mounts of other VMs, for the runtime."""

from __future__ import annotations

import os
from contextlib import ExitStack, suppress
from pathlib import Path
from threading import Event, Lock, Thread

from twisted.logger import Logger

from runc_cpi.daemon.host import detached_mounts, mounting, namespaces
from runc_cpi.daemon.host.oci.other_mounts import OtherMounts, Sight, hide, move

# Where the host does not share its mounts, a mount namespace that is kept keeps in use
# what the host unmounts.
KEPT = 10.0  # seconds
PATIENCE = 2.0  # seconds


class Views:
    """
    Lends threads a mount namespace each, in which mounts of the host do not slow runc down.

    To copy all mounts of a thousand VMs, and to let go of them, takes 9 ms.  So a namespace
    without any is kept for some time, and each thread gets a copy of that.
    """

    log = Logger()

    def __init__(self) -> None:
        self._others, self._making = OtherMounts(), Lock()
        self._keeper: _Keeper | None = None

    def enter(self, bundle: Path) -> None:
        """
        Give this thread a mount namespace with the mounts of the host, and of one VM.

        If there are few VMs, it has the mounts of all.  Mounts that the host makes later
        still arrive, and none is passed back.  This thread must have a root of its own.

        @param bundle: the directory of that VM.
        @raise OSError: if the kernel refuses.
        """
        view = self._borrow(bundle.parent)
        if view is None:
            namespaces.unshare_mounts()
            return
        path = os.path.realpath(bundle)
        with ExitStack() as stack:
            stack.callback(os.close, view)
            own = detached_mounts.of_directory(path, recursive=True)
            mount = stack.enter_context(own)
            namespaces.enter_mounts(view)
            namespaces.unshare_mounts()
            move(mount, path)
        mounting.receive_all()  # by that mount as well

    def kept(self) -> int | None:
        """
        Return a descriptor of a namespace without mounts of VMs, if one is kept now.

        The caller closes it.
        """
        keeper = self._keeper
        return None if keeper is None else keeper.lend()

    def close(self) -> None:
        """Let go of what is kept."""
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            keeper.end()

    def _borrow(self, vms: Path) -> int | None:
        """Return the same, and make one if VMs are many."""
        if not self._making.acquire(timeout=PATIENCE):
            self._complain("something that is mounted hangs")
            return None
        try:
            sight = self._others.look(vms)
            keeper, view = self._keeper, None
            if keeper is not None and keeper.sight == sight:
                view = keeper.lend()
            if view is None:
                self.close()
                if sight is not None:
                    self._keeper = self._made(sight, vms)
                    view = self.kept()
            return view
        finally:
            self._making.release()

    def _made(self, sight: Sight, vms: Path) -> _Keeper | None:
        keeper = _Keeper(sight, vms)
        keeper.start()
        keeper.ready.wait()
        if keeper.error is None:
            return keeper
        self._complain(str(keeper.error))
        return None

    def _complain(self, error: str) -> None:
        self.log.warn(
            "VMs take longer to be made, as mounts of other VMs cannot be hidden: {error}",
            error=error,
        )


class _Keeper(Thread):
    """
    Makes a mount namespace without mounts of VMs, and keeps it for L{KEPT} seconds.

    @ivar sight: what the host had mounted then.
    @ivar ready: whether it is made, or cannot be.
    @ivar error: why not.
    """

    def __init__(self, sight: Sight, vms: Path) -> None:
        super().__init__(name="mount namespace", daemon=True)
        self.sight, self._vms = sight, vms
        self.ready, self._ended = Event(), Event()
        self.error: OSError | None = None
        self._namespace: int | None = None
        self._lending = Lock()

    def run(self) -> None:
        """Make it, and keep it."""
        try:
            namespaces.unshare_fs()
            namespaces.unshare_mounts()
            hide(self.sight, self._vms)
            self._namespace = namespaces.own_mounts()
        except OSError as error:
            self.error = error
            return
        finally:
            self.ready.set()
        self._ended.wait(KEPT)
        with self._lending:
            os.close(self._namespace)
            self._namespace = None

    def lend(self) -> int | None:
        """Return a descriptor of it, which the caller closes, unless there is none."""
        with self._lending, suppress(OSError):  # there may be too many
            return None if self._namespace is None else os.dup(self._namespace)
        return None

    def end(self) -> None:
        """Let go of it soon."""
        self._ended.set()
