"""Detaching a disk: it is unmounted everywhere, or stays attached if it is in use."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.functional.disks.site import CLOUD_ERROR, Site, loop_of, processes
from tests.harness.agent import MIGRATION, STORE, Agent
from tests.harness.lab import NewDaemon
from tests.harness.vm import VM
from tests.harness.waiting import eventually


def hold(vm: VM, command: str) -> int:
    """Start a process in the VM that uses something; return its pid in the VM."""
    return int(vm.shell(f"{command} >/dev/null 2>&1 & echo $!"))


def outside(vm: VM, pid: int) -> int:
    """Return the pid on the host of a process in a VM."""
    for number in processes(vm):
        for line in Path(f"/proc/{number}/status").read_text().splitlines():
            if line.startswith("NSpid:") and line.split()[-1] == str(pid):
                return number
    raise AssertionError(f"there is no process {pid} in {vm.cid}")


def sees(vm: VM, device: str) -> list[int]:
    """Return the processes of a VM whose mount namespaces have a device mounted."""
    found = []
    for pid in processes(vm):
        lines = Path(f"/proc/{pid}/mountinfo").read_text().splitlines()
        if any(line.split()[2] == device for line in lines):
            found.append(pid)
    return found


def number_of(site: Site, disk_cid: str) -> str:
    """Return the device number of an attached disk, as in mountinfo."""
    name = loop_of(site.image(disk_cid))
    assert name is not None
    return Path("/sys/block", name, "dev").read_text().strip()


def usable(site: Site, vm: VM, disk_cid: str) -> None:
    """Check that a disk is attached, and can be mounted and written to."""
    assert site.cpi.ok("get_disks", vm.cid) == [disk_cid]
    vm.shell(f"mkdir -p /try; mount /dev/{disk_cid} /try; echo 1 >/try/1; umount /try")


def test_wherever_it_is_mounted(site: Site) -> None:
    """
    A disk is unmounted from the store and all other places, in all namespaces; others stay.
    """
    vm = site.vm()
    disk_cid, other = site.store(vm), site.disk()
    site.attach(vm, other)
    assert Agent(vm).mount_disk(other) == MIGRATION
    device = number_of(site, disk_cid)
    vm.shell(f"mkdir -p /a /b {STORE}/sub /'with a space'; mount /dev/{disk_cid} /a")
    vm.shell(f"mount -o bind {STORE}/sub /b; mount -o bind /a /'with a space'")
    vm.shell(f"mount -o bind {STORE} {STORE}; mount /dev/{disk_cid} {MIGRATION}")
    hold(vm, "unshare -m sleep 1000")
    eventually(lambda: len(sees(vm, device)) == len(processes(vm)) == 2, "both see it")
    before = processes(vm)
    site.detach(vm, disk_cid)
    assert sees(vm, device) == []
    assert processes(vm) == before
    assert loop_of(site.image(disk_cid)) is None
    assert Agent(vm).points(f"/dev/{other}") == [MIGRATION]
    vm.shell(f"echo 1 >{MIGRATION}/1")
    assert vm.attempt("test", "-e", f"/dev/{disk_cid}").returncode == 1


def test_in_nested_containers(new_daemon: NewDaemon, image: Callable[[str], Path]) -> None:
    """
    A disk is taken from a container in the VM, as bpm makes them, and the container runs
    on.
    """
    site = Site(new_daemon(), image("runit")).start()
    vm = site.vm()
    disk_cid = site.store(vm)
    device, bundle = number_of(site, disk_cid), "/var/vcap/data/bundle"
    vm.shell(f"mkdir -p {bundle}/rootfs/bin {bundle}/rootfs/store; cd {bundle}; runc spec")
    vm.shell(f"cd {bundle}/rootfs/bin; cp /bin/busybox .; ln -s busybox sleep")
    spec = json.loads(vm.read(f"{bundle}/config.json"))
    spec["process"].update(terminal=False, args=["/bin/sleep", "1000"])
    spec["process"].pop("rlimits", None)
    bind = {"destination": "/store", "source": STORE, "options": ["rbind", "rw"]}
    spec["mounts"].append({**bind, "type": "bind"})
    (vm.directory / "data" / "bundle" / "config.json").write_text(json.dumps(spec))
    vm.shell(f"runc run --detach --bundle {bundle} nested </dev/null >/dev/null 2>&1")
    eventually(lambda: len(sees(vm, device)) > 1, "the container sees it")
    site.detach(vm, disk_cid)
    assert json.loads(vm.run("runc", "state", "nested"))["status"] == "running"
    inside = vm.run("runc", "exec", "nested", "/bin/busybox", "cat", "/proc/mounts")
    assert " /store " not in inside
    assert loop_of(site.image(disk_cid)) is None


@pytest.mark.parametrize(
    "command",
    ["cd {store}; sleep 1000", "sleep 1000 <{store}/file", "{store}/sleep 1000"],
    ids=["directory", "file", "program"],
)
def test_in_use(site: Site, command: str) -> None:
    """
    The error for a disk in use names the process and may be retried; the disk stays usable.
    """
    vm = site.vm()
    disk_cid = site.store(vm, 32)
    vm.shell(f"echo 1 >{STORE}/file; cp /bin/busybox {STORE}/sleep")
    pid = hold(vm, f"{{ {command.format(store=STORE)}; }}")
    holder = outside(vm, pid)
    error = site.cpi.error("detach_disk", vm.cid, disk_cid)
    assert error["type"] == CLOUD_ERROR
    assert error["ok_to_retry"] is True
    assert STORE in error["message"]
    assert "sleep" in error["message"]
    children = Path(f"/proc/{holder}/task/{holder}/children").read_text().split()
    assert any(number in error["message"] for number in [str(holder), *children])
    assert vm.read(f"{STORE}/file") == "1\n"
    usable(site, vm, disk_cid)
    vm.attempt("/bin/busybox", "killall", "-9", "sleep", "sh")
    site.cpi.ok("detach_disk", vm.cid, disk_cid)
    assert loop_of(site.image(disk_cid)) is None


def test_in_use_elsewhere(site: Site) -> None:
    """A process that uses the disk in a mount namespace of its own is found as well."""
    vm = site.vm()
    disk_cid = site.store(vm)
    hold(vm, f"unshare -m sh -c 'cd {STORE}; sleep 1000'")
    device = number_of(site, disk_cid)
    eventually(lambda: len(sees(vm, device)) > 1, "the namespace is there")
    eventually(lambda: "store" in vm.shell("ls -l /proc/*/cwd"), "the process is there")
    error = site.cpi.error("detach_disk", vm.cid, disk_cid)
    assert error["ok_to_retry"] is True
    assert "sleep" in error["message"] or "sh" in error["message"]
    usable(site, vm, disk_cid)


def test_held_from_outside(site: Site) -> None:
    """The daemon waits for a process outside of the VM, such as a child of its own."""
    vm = site.vm()
    disk_cid = site.store(vm)
    place = Path(f"/proc/{vm.pid}/root{STORE}")
    with subprocess.Popen(["sleep", "1000"], cwd=place) as holder:
        try:
            error = site.cpi.error("detach_disk", vm.cid, disk_cid)
            assert error["ok_to_retry"] is True
            assert "cannot be told" in error["message"]
            call = site.cpi.start("detach_disk", vm.cid, disk_cid)
            time.sleep(0.3)
        finally:
            holder.kill()
    assert site.cpi.finish(call)["error"] is None
    assert loop_of(site.image(disk_cid)) is None


def test_device_held_open(site: Site) -> None:
    """
    A process that holds the device open is named, and the disk stays usable until it ends.
    """
    vm, disk_cid = site.vm(), site.disk()
    hint = site.attach(vm, disk_cid)
    pid = hold(vm, f"sleep 1000 <{hint}")
    error = site.cpi.error("detach_disk", vm.cid, disk_cid)
    assert error["ok_to_retry"] is True
    usable(site, vm, disk_cid)
    assert "sleep" in error["message"]
    vm.shell(f"kill -9 {pid}")
    site.cpi.ok("detach_disk", vm.cid, disk_cid)
    assert loop_of(site.image(disk_cid)) is None


def test_attached_again_after_a_refusal(site: Site) -> None:
    """
    A disk that could not be detached and was attached again stays after its holder ended.
    """
    vm, disk_cid = site.vm(), site.disk()
    hint = site.attach(vm, disk_cid)
    pid = hold(vm, f"sleep 1000 <{hint}")
    site.cpi.error("detach_disk", vm.cid, disk_cid)
    assert site.cpi.ok("attach_disk", vm.cid, disk_cid) == hint
    vm.shell(f"kill -9 {pid}")
    # It is a zombie: the first process of this VM does not wait for it.
    eventually(lambda: ") Z " in vm.read(f"/proc/{pid}/stat"), "the holder's end")
    usable(site, vm, disk_cid)


@pytest.mark.parametrize("cover", ["tmpfs", "disk"])
def test_covered(site: Site, cover: str) -> None:
    """A disk under another mount is unmounted or refused, and the other mount stays."""
    vm, disk_cid, other = site.vm(), site.disk(), site.disk()
    site.attach(vm, disk_cid)
    site.attach(vm, other)
    over = "-t tmpfs tmpfs" if cover == "tmpfs" else f"/dev/{other}"
    vm.shell(f"mkdir /both; mount /dev/{disk_cid} /both; mount {over} /both")
    answer = site.cpi.call("detach_disk", vm.cid, disk_cid)
    if answer["error"] is None:
        assert Agent(vm).points(f"/dev/{disk_cid}") == []
    else:
        # Or both mounts are left alone, and the error says so.
        assert answer["error"]["ok_to_retry"] is True
        assert "/both" in answer["error"]["message"]
        assert vm.attempt("test", "-b", f"/dev/{disk_cid}").returncode == 0
    if cover == "disk":
        assert Agent(vm).points(f"/dev/{other}") == ["/both"]


def test_mounted_upon(site: Site) -> None:
    """
    A disk in which the VM mounted something is unmounted, or refused and still usable.
    """
    vm = site.vm()
    disk_cid = site.store(vm)
    vm.shell(f"mkdir {STORE}/sub; mount -t tmpfs tmpfs {STORE}/sub")
    answer = site.cpi.call("detach_disk", vm.cid, disk_cid)
    if answer["error"] is not None:
        assert answer["error"]["ok_to_retry"] is True
        assert STORE in answer["error"]["message"]
        usable(site, vm, disk_cid)


def test_behind_a_chroot(site: Site) -> None:
    """A mount is found in a namespace whose only process is in a chroot."""
    vm = site.vm()
    disk_cid = site.store(vm)
    device = number_of(site, disk_cid)
    vm.shell("mkdir -p /jail/bin; cp /bin/busybox /jail/bin/sleep")
    hold(vm, "unshare -m chroot /jail /bin/sleep 1000")
    eventually(lambda: "/jail" in vm.shell("ls -l /proc/*/root"), "the process is there")
    site.cpi.ok("detach_disk", vm.cid, disk_cid)
    assert sees(vm, device) == []
    assert loop_of(site.image(disk_cid)) is None


def test_many_at_a_time(site: Site) -> None:
    """
    Of several detach_disk calls at once one succeeds, and the others find it detached.
    """
    vm, disk_cid = site.vm(), site.disk()
    calls = [site.cpi.start("attach_disk", vm.cid, disk_cid) for _ in range(4)]
    hints = {site.cpi.finish(call)["result"] for call in calls}
    assert hints == {f"/dev/{disk_cid}"}
    calls = [site.cpi.start("detach_disk", vm.cid, disk_cid) for _ in range(4)]
    errors = [site.cpi.finish(call)["error"] for call in calls]
    assert errors.count(None) == 1
    assert {error["type"] for error in errors if error} == {"Bosh::Clouds::DiskNotAttached"}
