"""A machine with systemd as its first process: this one in namespaces, with own files."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

from tests.harness.images import PROJECT
from tests.harness.waiting import eventually

SYSTEMD = Path("/lib/systemd/systemd")
CGROUPS = Path("/sys/fs/cgroup")
# Where things are installed, and what systemd keeps.
CHANGED = ("etc", "opt", "usr/local", "var/lib", "var/log")
# Directories of its own: of these, an overlay could not be a part of another one.
OWN = ("var/lib/runc-cpid", "etc/systemd/system")
# These would change what is the machine's too: its /tmp, its kernel.
MASKED = (
    *("systemd-tmpfiles-setup.service", "systemd-tmpfiles-setup-dev.service"),
    *("systemd-tmpfiles-setup-dev-early.service", "systemd-tmpfiles-clean.timer"),
    *("systemd-sysctl.service", "systemd-modules-load.service", "systemd-udevd.service"),
    *("systemd-udev-trigger.service", "console-getty.service", "systemd-binfmt.service"),
)
LOOPS = 2048
# Where it has the directory that outlives it.
KEPT = Path("/mnt")
# It has others there, so what it needs of this machine's is shown in them: these tests, and
# the Python that they run with.
HIDDEN = (Path("/tmp"), Path("/var/tmp"), Path("/run"), KEPT)
NEEDED = (PROJECT, Path(sys.base_prefix), Path(sys.prefix))
# Is told the directory of what is kept. It is mounted before the place of it is hidden.
ENTER = r"""
set -eu
home=$1
for place in {changed}; do
  mkdir -p "$home/$place/upper" "$home/$place/work"
  mount -t overlay overlay \
    -o "lowerdir=/$place,upperdir=$home/$place/upper,workdir=$home/$place/work" "/$place"
done
for place in {own}; do
  mkdir -p "$home/$place/own" "/$place"
  mount --bind "$home/$place/own" "/$place"
done
for unit in {masked}; do
  ln -sf /dev/null "/etc/systemd/system/$unit"
done
number=0
for place in {shown}; do
  mkdir -p "$home/shown/$number"
  mount --bind "$place" "$home/shown/$number"
  number=$((number + 1))
done
mount --rbind "$home" {kept}
mount -t tmpfs tmpfs /tmp
mount -t tmpfs tmpfs /var/tmp
mount -t proc proc /proc
mount --bind /proc/sys /proc/sys
mount -o remount,bind,ro /proc/sys
mount --bind /proc/sys/net /proc/sys/net
mount -o remount,bind,rw /proc/sys/net
mount -t tmpfs -o mode=755 tmpfs /run
number=0
for place in {shown}; do
  mkdir -p "$place"
  mount --bind "{kept}/shown/$number" "$place"
  number=$((number + 1))
done
cat /proc/sys/kernel/random/uuid >/run/boot_id
mount --bind /run/boot_id /proc/sys/kernel/random/boot_id
mount -t sysfs sysfs /sys
ip link set lo up
if [ {unified} = yes ]; then
  mount -t cgroup2 cgroup2 /sys/fs/cgroup
else
  mount -t tmpfs -o mode=755 tmpfs /sys/fs/cgroup
  for name in {hierarchies}; do
    mkdir "/sys/fs/cgroup/$name"
    case $name in
      unified) mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified ;;
      systemd) mount -t cgroup -o none,name=systemd cgroup /sys/fs/cgroup/systemd ;;
      *) mount -t cgroup -o "$name" cgroup "/sys/fs/cgroup/$name" ;;
    esac
  done
fi
mkdir /run/dev
mount -t tmpfs -o mode=755 tmpfs /run/dev
cd /run/dev
for name in null zero full random urandom tty fuse kmsg loop-control; do
  cp -a "/dev/$name" .
done
{python} -c '
import os, stat
for number in range({loops}):
    os.mknod(f"loop{{number}}", stat.S_IFBLK | 0o660, os.makedev(7, number))
'
mkdir pts shm net
cp -a /dev/net/tun net
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts pts
ln -s pts/ptmx ptmx
ln -s /proc/self/fd fd
ln -s /proc/self/fd/0 stdin
ln -s /proc/self/fd/1 stdout
ln -s /proc/self/fd/2 stderr
mount --rbind /run/dev /dev
hostname booted
words="systemd.unit=multi-user.target SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1"
search=/usr/sbin:/usr/bin:/sbin:/bin
exec env -i container=other "PATH=$search" "SYSTEMD_PROC_CMDLINE=$words" {systemd}
"""


class Booted:
    """
    This machine, booted with systemd; what is written to it stays for the next boot.

    @ivar name: of its cgroups.

    @param home: an empty directory on a disk, for what is written.
    """

    def __init__(self, home: Path) -> None:
        self._home, self.name = home, f"booted-{os.getpid()}"
        self._process: subprocess.Popen[bytes] | None = None
        self._cgroups: list[Path] = []

    def boot(self) -> None:
        """Boot it, and wait until all its services have been started."""
        hierarchies = sorted(path.name for path in CGROUPS.iterdir() if path.is_dir())
        unified = is_unified()
        script = ENTER.format(
            changed=" ".join(CHANGED),
            own=" ".join(OWN),
            masked=" ".join(MASKED),
            kept=KEPT,
            shown=" ".join(shlex.quote(str(place)) for place in shown()),
            unified="yes" if unified else "no",
            hierarchies="" if unified else " ".join(hierarchies),
            loops=LOOPS,
            python=shlex.quote(sys.executable),
            systemd=SYSTEMD,
        )
        self._make_cgroups()
        joins = [f"echo $$ >{path}/cgroup.procs" for path in self._cgroups]
        own = ("--mount", "--pid", "--net", "--ipc", "--uts", "--cgroup")
        enter = f'exec unshare {" ".join(own)} --fork --kill-child=KILL sh -c "$0" sh "$1"'
        with (self._home / "console").open("wb") as console:
            self._process = subprocess.Popen(
                ["sh", "-ec", "\n".join([*joins, enter]), script, str(self._home)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=console,
            )
        eventually(self._is_up, "the end of systemd's boot", 150)

    def _is_up(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self._home / "console").read_text()
        if not children(self._process.pid):
            return False
        state = self.run("systemctl", "is-system-running").stdout.strip()
        return state in ("running", "degraded")

    def run(self, *argv: str | Path) -> subprocess.CompletedProcess[str]:
        """Run a program there, whatever comes of it."""
        return subprocess.run(
            self.entering(argv),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    def entering(self, argv: Sequence[str | Path]) -> list[str | Path]:
        """Return the command line that runs a program there."""
        assert self._process is not None
        (init,) = children(self._process.pid)
        enter = ["nsenter", "-t", str(init), "-m", "-p", "-n", "-i", "-u", "-C"]
        path = "PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        return [*enter, "env", "-i", path, "HOME=/root", *argv]

    def cut_off(self) -> None:
        """
        End it as when the power fails: all processes are gone, and what they held.

        That is so also for one that has ended, or was never begun.
        """
        with ExitStack() as then:
            then.callback(eventually, self._has_no_cgroups, "the end of its cgroups")
            then.callback(self._detach)
            self._end()

    def _end(self) -> None:
        process, self._process = self._process, None
        # The number of one that has ended may be another's.
        if process is None or process.poll() is not None:
            return
        for init in children(process.pid):
            os.kill(init, signal.SIGKILL)
        process.kill()
        process.wait(20)

    def _detach(self) -> None:
        for device in self._loops():
            subprocess.run(["losetup", "--detach", device], check=True)

    def _make_cgroups(self) -> None:
        """Make its cgroups, one in each hierarchy."""
        self._cgroups = []
        for top in tops():
            path = top / self.name
            self._cgroups.append(path)
            path.mkdir(exist_ok=True)
            if top.name == "cpuset":
                for name in ("cpus", "mems"):
                    kept = (top / f"cpuset.{name}").read_text()
                    (path / f"cpuset.{name}").write_text(kept)
                (path / "cgroup.clone_children").write_text("1")

    def _has_no_cgroups(self) -> bool:
        for cgroup in self._cgroups:
            for here, _, _ in os.walk(cgroup, topdown=False):
                with suppress(OSError):
                    os.rmdir(here)
        return not any(cgroup.exists() for cgroup in self._cgroups)

    def _loops(self) -> list[str]:
        """Return the loop devices of files that it has written."""
        argv = ["losetup", "--json", "--list", "--output", "NAME,BACK-MAJ:MIN,BACK-INO"]
        listed = subprocess.run(argv, stdout=subprocess.PIPE, check=True).stdout
        files = {
            (f"{os.major(status.st_dev)}:{os.minor(status.st_dev)}", status.st_ino)
            for here, _, names in os.walk(self._home)
            for status in (os.lstat(Path(here, name)) for name in names)
        }
        return [
            device["name"]
            for device in (json.loads(listed)["loopdevices"] if listed else [])
            if (device["back-maj:min"].strip(), device["back-ino"]) in files
        ]


def tops() -> list[Path]:
    """Return the tops of the hierarchies of cgroups; of version 2 there is one."""
    if is_unified():
        return [CGROUPS]
    return [path for path in CGROUPS.iterdir() if (path / "cgroup.procs").exists()]


def is_unified() -> bool:
    """Whether this machine has version 2 of cgroups, and no other."""
    return (CGROUPS / "cgroup.controllers").exists()


def shown() -> list[Path]:
    """Return what must be shown in the places that it has others of, outer ones first."""
    needed = {*NEEDED, *(path.resolve() for path in NEEDED)}
    return sorted(
        path for path in needed if any(hidden in path.parents for hidden in HIDDEN)
    )


def children(pid: int) -> list[int]:
    """Return the children of a process (proc(5)); one that is gone has none."""
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii")
    except (FileNotFoundError, ProcessLookupError):
        return []
    return [int(child) for child in text.split()]
