"""A mount namespace without mounts of VMs is kept while it is good, and not for long."""

from __future__ import annotations

import os
import threading
from contextlib import ExitStack
from pathlib import Path
from threading import Thread
from uuid import uuid4

import pytest

from runc_cpi.daemon.host import mounting
from runc_cpi.daemon.host.namespaces import unshare_fs
from runc_cpi.daemon.host.oci import other_mounts
from runc_cpi.daemon.host.oci import views as views_module
from runc_cpi.daemon.host.oci.views import Views
from tests.harness.waiting import eventually
from tests.privileged.mounts import in_a_namespace, make_many, mount, seen


@pytest.mark.parametrize("are_passed_on", [True, False], ids=["shared", "private"])
def test_a_view_that_is_kept(
    tmp_path: Path, are_passed_on: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next VM gets a copy of the same namespace, as long as the host has the same."""
    views = Views()

    def seen_beside(own: Path) -> set[str]:
        """Return what a thread sees that is made for a VM, as visits are."""
        found = []

        def visit() -> None:
            unshare_fs()
            views.enter(own.parent)
            found.append(seen(tmp_path))

        visiting = Thread(target=visit)
        visiting.start()
        visiting.join()
        return found[0]

    def work() -> None:
        if are_passed_on:
            mounting.share_root()
        others = make_many(tmp_path / "vms")
        owns = [mount(tmp_path, "vms", f"vm-{uuid4()}", "layers") for _ in range(2)]
        assert views.kept() is None
        for own in owns:
            assert not seen_beside(own) & others
        with ExitStack() as stack:
            first = views.kept()
            assert first is not None
            stack.callback(os.close, first)

            def is_the_same() -> bool:
                view = views.kept()
                assert view is not None
                stack.callback(os.close, view)
                return os.fstat(view).st_ino == os.fstat(first).st_ino

            # A VM that comes later is no reason for another one, nor one that goes.
            late = mount(tmp_path, "vms", f"vm-{uuid4()}", "layers")
            assert str(late.parent) in seen_beside(late)
            mounting.detach(str(owns[0]))
            assert str(owns[1].parent) in seen_beside(owns[1])
            assert is_the_same()
            # What else the host has mounted is one.
            beside = mount(tmp_path, "beside")
            assert str(beside) in seen_beside(late)
            assert not is_the_same()
            mounting.unmount(str(beside))
            assert str(beside) not in seen_beside(late)
        # Whatever else is mounted on this host.
        monkeypatch.setattr(other_mounts, "FEW", 1 << 20)
        assert seen_beside(owns[1]) >= others
        assert views.kept() is None

    try:
        in_a_namespace(work)
    finally:
        views.close()


def test_a_view_that_expires(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not kept for long: it may keep in use what the host unmounts."""
    monkeypatch.setattr(views_module, "KEPT", 0.0)

    def work() -> None:
        others = make_many(tmp_path / "vms")
        own = mount(tmp_path, "vms", f"vm-{uuid4()}", "layers")
        views = Views()
        before = threading.active_count()
        # Whether it is gone already, or not yet.
        views.enter(own.parent)
        assert (seen(tmp_path) & others) in (set(), others)
        eventually(lambda: views.kept() is None, "the namespace is gone")
        eventually(lambda: threading.active_count() <= before, "its thread has ended")

    in_a_namespace(work)
