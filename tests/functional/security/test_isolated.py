"""What security.profile isolated keeps from users of the host, and what boots in it."""

from __future__ import annotations

import gzip
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.harness import images
from tests.harness.daemon import CONTROL
from tests.harness.images import KINDS
from tests.harness.lab import Lab, NewDaemon
from tests.harness.vm import SETTINGS, VM
from tests.harness.waiting import eventually

ISOLATED = {"security": {"profile": "isolated"}}
SIZE = 1 << 16  # ids
VCAP = 1000
SECRET = "SECRET=of-the-job"


@pytest.fixture(scope="module", params=KINDS)
def booted(
    request: pytest.FixtureRequest, lab: Lab, image: Callable[[str], Path]
) -> Iterator[VM]:
    """An isolated VM with each init, whose agent is up."""
    with lab.daemons() as new_daemon:
        daemon = new_daemon(config=ISOLATED).start()
        vm = daemon.create_vm(daemon.create_stemcell(image(request.param)))
        vm.wait_for_agent()
        yield vm


def uids(pid: int) -> list[int]:
    """Return the user ids of a process, as the host sees them."""
    (line,) = [
        line
        for line in Path(f"/proc/{pid}/status").read_text().splitlines()
        if line.startswith("Uid:")
    ]
    return [int(uid) for uid in line.split()[1:]]


def first_id(vm: VM) -> int:
    """Return the id of the VM's root on the host."""
    return uids(vm.pid)[0]


def job_of_vcap(vm: VM) -> int:
    """Start a process of user 1000 with a secret in its environment; return its pid."""
    pid_file, work_dir = vm.directory / "job", vm.directory.parent.parent
    argv = ["runc", "--root", str(work_dir / "runtime"), "exec", "--detach"]
    argv += ["--user", f"{VCAP}:{VCAP}", "--env", SECRET, "--pid-file", str(pid_file)]
    null = subprocess.DEVNULL
    argv += [vm.cid, "sleep", "1000"]
    subprocess.run(argv, stdin=null, stdout=null, stderr=null, check=True)
    return int(pid_file.read_text("ascii"))


def as_user(uid: int, script: str) -> subprocess.CompletedProcess[str]:
    """Run a script as a user of the host."""
    argv = ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "sh", "-c"]
    return subprocess.run([*argv, script], capture_output=True, text=True, check=False)


def test_boots(booted: VM) -> None:
    """The agent reads its settings and answers, and all processes have the VM's ids."""
    first = first_id(booted)
    assert first >= SIZE and first % SIZE == 0
    assert booted.answer() == "agent-1"
    assert booted.run("stat", "-c", "%u %g %a", SETTINGS) == "0 0 600\n"
    assert booted.run("stat", "-c", "%u %g", "/", "/etc/passwd") == "0 0\n0 0\n"
    for pid in (booted.cgroups()["pids"] / "cgroup.procs").read_text().split():
        assert {uid // SIZE for uid in uids(int(pid))} == {first // SIZE}


def test_systemd(booted: VM) -> None:
    """systemd starts its services; it can make cgroups for them."""
    if booted.attempt("test", "-d", "/run/systemd/system").returncode != 0:
        pytest.skip("boots with runit")
    assert booted.attempt("systemctl", "is-system-running", "--wait").stdout.strip() in (
        "running",
        "degraded",
    )
    failed = booted.run("systemctl", "--failed", "--plain", "--no-legend")
    assert failed == ""


def test_files_that_root_copies(booted: VM, tmp_path: Path) -> None:
    """What root of the host copies into the VM is its root's, on each file system."""
    file, config = tmp_path / "file", booted.directory.parents[2] / "config.yml"
    file.write_text("content")
    for name in ("/tmp/copy", "/run/copy", "/var/vcap/data/copy"):
        target = f"{booted.cid}:{name}"
        argv = [str(CONTROL), "--config", str(config), "cp", str(file), target]
        subprocess.run(argv, check=True, timeout=60)
        assert booted.run("stat", "-c", "%u %g %s", name) == "0 0 7\n"


def test_the_agent_can_remount(booted: VM) -> None:
    """
    The agent sets flags of its bind mounts as it does on a machine: a program of its own
    remounts the mount alone. The kernel refuses a remount of the whole file system.
    """
    booted.shell("mkdir -p /var/vcap/data/log && mount --bind /var/vcap/data/log /var/log")
    remount = "mount /var/log -o remount -o nodev -o nosuid -o noexec"
    assert booted.attempt("/bin/sh", "-c", f"/bin/{remount}").returncode != 0
    booted.shell(f"/var/vcap/bosh/bin/{remount}")
    (line,) = [
        line
        for line in booted.read("/proc/mounts").splitlines()
        if line.split()[1] == "/var/log"
    ]
    assert {"nosuid", "nodev", "noexec"} <= set(line.split()[3].split(","))
    booted.shell("umount /var/log")


def test_other_users_of_the_host(booted: VM) -> None:
    """
    User 1000 of the host is not the VM's: it reads no environment and writes no file there.
    """
    vm, job = booted, job_of_vcap(booted)
    vm.shell(f"mkdir -m 700 /mine; chown {VCAP}:{VCAP} /mine")
    assert uids(job) == [first_id(vm) + VCAP] * 4
    assert as_user(VCAP, f"cat /proc/{job}/environ").returncode != 0
    assert as_user(VCAP, f"ls /proc/{job}/root/").returncode != 0
    assert as_user(VCAP, f"echo x >/proc/{job}/root/mine/file").returncode != 0
    assert as_user(VCAP, f"kill {job}").returncode != 0
    os.kill(job, signal.SIGKILL)
    assert vm.attempt("test", "-e", "/mine/file").returncode == 1


def test_other_users_of_the_host_by_default(
    new_daemon: NewDaemon, image: Callable[[str], Path]
) -> None:
    """In the default profile user 1000 of the host is the VM's, as documented."""
    daemon = new_daemon().start()
    vm = daemon.create_vm(daemon.create_stemcell(image("runit")))
    job = job_of_vcap(vm)
    vm.shell(f"mkdir -m 700 /mine; chown {VCAP}:{VCAP} /mine")
    assert SECRET in as_user(VCAP, f"cat /proc/{job}/environ").stdout
    assert as_user(VCAP, f"echo x >/proc/{job}/root/mine/file").returncode == 0
    assert vm.read("/mine/file") == "x\n"


# How root of a VM can get at the host, or at more of it, without a user namespace.
WAYS_OUT = {
    "a tunable": "umount /proc/sys/vm; : >>/proc/sys/vm/swappiness",
    "the core pattern": "umount /proc/sys/kernel; : >>/proc/sys/kernel/core_pattern",
    "sysrq": "umount /proc/sysrq-trigger; : >>/proc/sysrq-trigger",
    "sysfs": "mount -o remount,rw /sys; : >>/sys/kernel/mm/transparent_hugepage/enabled",
    "debugfs": "mkdir -p /x && mount -t debugfs none /x",
    "devices": "mkdir -p /x && mount -t devtmpfs none /x",
    "device rules": "echo a >/sys/fs/cgroup/devices/devices.allow",
    "the kernel's log": "while umount /proc/kmsg; do :; done; head -c 1 </proc/kmsg",
    "a node": "mknod /x-node b 7 0",
}


@pytest.mark.parametrize("way", WAYS_OUT)
def test_ways_out(booted: VM, way: str) -> None:
    """Root of an isolated VM is refused what it can do to the host in other profiles."""
    outcome = booted.attempt("/bin/sh", "-c", WAYS_OUT[way])
    assert outcome.returncode != 0, outcome
    assert "not found" not in outcome.stderr


def test_ids_differ(new_daemon: NewDaemon, tiny: Path) -> None:
    """
    Each VM has ids of its own, which another has after it; if none are left, a VM is
    refused, and leaves nothing.
    """
    ids = f"{SIZE * 20000}-{SIZE * 20002 - 1}"
    security = {"profile": "isolated", "ids": ids}
    daemon = new_daemon(config={"security": security}).start()
    stemcell = daemon.create_stemcell(tiny)
    vms = [daemon.create_vm(stemcell) for _ in range(2)]
    assert {first_id(vm) for vm in vms} == {SIZE * 20000, SIZE * 20001}
    with pytest.raises(AssertionError, match=r"security\.ids: all 2 ranges"):
        daemon.create_vm(stemcell)
    freed = first_id(vms[0])
    daemon.cpi.ok("delete_vm", vms[0].cid)
    assert first_id(daemon.create_vm(stemcell)) == freed


def test_a_host_without_idmapped_mounts(new_daemon: NewDaemon) -> None:
    """On a file system that cannot show files as a VM's own, the daemon does not start."""
    daemon = new_daemon(config=ISOLATED)
    script = f'mkdir -p {daemon.work_dir}; mount -t ramfs none {daemon.work_dir}; exec "$@"'
    line = daemon.refusal(prefix=("unshare", "--mount", "sh", "-ec", script, "sh"))
    assert "security.profile: isolated needs" in line
    assert "idmapped" in line


def test_an_init_that_leaves_its_users(new_daemon: NewDaemon, busybox: bytes) -> None:
    """A VM whose first process left its user namespace is served like any other."""
    daemon = new_daemon(config=ISOLATED)
    path = daemon.home / "image"
    init = "#!/bin/sh\nexec /bin/busybox unshare -U /bin/busybox sleep 1000000\n"
    path.write_bytes(gzip.compress(images.tiny(busybox, init), 1))
    vm = daemon.start().create_vm(daemon.create_stemcell(path))
    uid_map = Path(f"/proc/{vm.pid}/uid_map")
    eventually(lambda: uid_map.read_text() == "", "it has other users")
    disk_cid = daemon.cpi.ok("create_disk", 16, {}, None)
    hint = daemon.cpi.ok("attach_disk", vm.cid, disk_cid)
    assert os.listdir(f"/proc/{vm.pid}/root{hint}") == ["lost+found"]
    daemon.cpi.ok("reboot_vm", vm.cid)
    daemon.cpi.ok("delete_vm", vm.cid)
    daemon.cpi.ok("delete_disk", disk_cid)
