"""The daemon is killed before a step that counts: afterwards a disk is attached, or not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from runc_cpi.daemon.host.disks.loop_ioctl import LOOP_CLR_FD, LOOP_CONFIGURE
from tests.functional.disks.site import DISK_NOT_ATTACHED, STORE, Site, loop_of
from tests.harness import steps
from tests.harness.lab import NewDaemon
from tests.harness.minor_steps import MINOR
from tests.harness.vm import SETTINGS, VM

# In version 1 nobody tells the agent, so the daemon writes its settings file.
VERSION = 1


@pytest.fixture
def site(new_daemon: NewDaemon, store_image: Path) -> Site:
    """A daemon that can be made to die at a step."""
    daemon = new_daemon()
    daemon.launcher = steps.LAUNCHER
    return Site(daemon, store_image).start()


def arm(site: Site, where: str) -> None:
    """Let the daemon note its steps that count from now on, and die before one."""
    (site.daemon.home / steps.NOTES).unlink(missing_ok=True)
    (site.daemon.home / steps.ARM).write_text("\n".join([where, *MINOR]))


def rehearse(site: Site, method: str, *arguments: Any) -> list[str]:
    """Make a call that must succeed, and return the names of its steps."""
    arm(site, "none")
    site.cpi.ok(method, *arguments, version=VERSION)
    (site.daemon.home / steps.ARM).unlink()
    return (site.daemon.home / steps.NOTES).read_text().splitlines()


def cut_off(site: Site, number: int, method: str, *arguments: Any) -> None:
    """Make a call in which the daemon dies at a step; start another daemon."""
    arm(site, str(number))
    answer = site.cpi.call(method, *arguments, version=VERSION)
    assert answer["error"]["ok_to_retry"] is True
    assert site.daemon.process is not None
    site.daemon.process.wait(10)
    site.daemon.process = None
    site.daemon.start()


# Prints what the VM may read, what is mounted of the disk, and the settings file.
LOOK = """
rm -f /tmp/*
for minor in {minors}; do mknod /tmp/$minor b 7 $minor; done
for node in /tmp/* /dev/{disk_cid}; do
  dd if=$node of=/dev/null count=1 2>/dev/null && echo $node
done
echo --; grep {disk_cid} /proc/mounts || true; echo --; cat {settings}
"""


def is_attached(site: Site, vm: VM, disk_cid: str) -> bool:
    """Say whether a disk is attached; check that it is so in every respect or in none."""
    attached: bool = disk_cid in site.cpi.ok("get_disks", vm.cid)
    record = json.loads(site.image(disk_cid).with_name("disk.json").read_text())
    assert record["attached_to"] == (vm.cid if attached else None)
    name = loop_of(site.image(disk_cid))
    minors = [path.name.removeprefix("loop") for path in Path("/sys/block").glob("loop*")]
    script = LOOK.format(minors=" ".join(minors), disk_cid=disk_cid, settings=SETTINGS)
    readable, mounted, settings = vm.shell(script).split("--\n")
    if attached:
        assert name is not None
        assert set(readable.split()) == {f"/tmp/{name[4:]}", f"/dev/{disk_cid}"}
    else:
        assert name is None
        assert readable.split() == []
        assert mounted == ""
    named = json.loads(settings)["disks"]["persistent"]
    assert list(named) == ([disk_cid] if attached else [])
    return attached


def test_attach(site: Site) -> None:
    """Wherever the daemon dies in attach_disk, the next attach_disk succeeds."""
    vm, disk_cid = site.vm(), site.disk()
    call = ("attach_disk", vm.cid, disk_cid)
    names = rehearse(site, *call)
    assert is_attached(site, vm, disk_cid)
    assert {f"ioctl {LOOP_CONFIGURE:#x}", "mknod", "answer"} <= set(names)
    outcomes = set()
    for number in range(1, len(names) + 1):
        site.cpi.ok("detach_disk", vm.cid, disk_cid, version=VERSION)
        cut_off(site, number, *call)
        outcomes.add(is_attached(site, vm, disk_cid))
        site.cpi.ok(*call, version=VERSION)
        assert is_attached(site, vm, disk_cid)
    assert outcomes == {False, True}


def test_detach(site: Site) -> None:
    """
    Wherever the daemon dies in detach_disk, the next one succeeds or finds it detached.
    """
    vm, disk_cid = site.vm(), site.disk()

    def attach() -> None:
        site.cpi.ok("attach_disk", vm.cid, disk_cid, version=VERSION)
        vm.shell(f"mount /dev/{disk_cid} {STORE}; echo 1 >>{STORE}/rounds")

    call = ("detach_disk", vm.cid, disk_cid)
    attach()
    names = rehearse(site, *call)
    assert not is_attached(site, vm, disk_cid)
    assert {"unmount", f"ioctl {LOOP_CLR_FD:#x}", "answer"} <= set(names)
    outcomes = set()
    for number in range(1, len(names) + 1):
        attach()
        cut_off(site, number, *call)
        attached = is_attached(site, vm, disk_cid)
        outcomes.add(attached)
        answer = site.cpi.call(*call, version=VERSION)
        error = None if attached else DISK_NOT_ATTACHED
        assert (answer["error"] or {"type": None})["type"] == error
        assert not is_attached(site, vm, disk_cid)
    assert outcomes == {False, True}
    attach()
    assert vm.read(f"{STORE}/rounds").split() == ["1"] * (len(names) + 2)
