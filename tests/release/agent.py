"""What the real agent does about persistent disks, done inside a VM of the tests."""

from __future__ import annotations

from tests.harness.vm import VM

STORE = "/var/vcap/store"
MIGRATION = "/var/vcap/store_migration_target"
# The agent notes here which disk it mounted last, and does not start without that disk.
LAST_MOUNTED = "/var/vcap/bosh/managed_disk_settings.json"


class Agent:
    """
    The agent of a VM whose disks are devices.

    @ivar vm: where it is.
    """

    def __init__(self, vm: VM) -> None:
        self.vm = vm
        self._hints: dict[str, str] = {}

    def add_persistent_disk(self, disk_cid: str, hint: str) -> None:
        """Note where a disk is to be found."""
        self._hints[disk_cid] = hint

    def remove_persistent_disk(self, disk_cid: str) -> None:
        """Forget a disk."""
        del self._hints[disk_cid]

    def list_disk(self) -> list[str]:
        """Name the disks that are mounted."""
        sources = [source for source, _ in self._mounts()]
        return [cid for cid, hint in self._hints.items() if hint in sources]

    def mount_disk(self, disk_cid: str) -> None:
        """Mount a disk, for migration if there is one already."""
        points = [point for _, point in self._mounts()]
        self._mount(self._hints[disk_cid], MIGRATION if STORE in points else STORE)
        self.vm.shell(f"printf %s {disk_cid} >{LAST_MOUNTED}")

    def last_mounted(self) -> str:
        """Return the disk that the agent must have to start."""
        return self.vm.shell(f"cat {LAST_MOUNTED} 2>/dev/null || true")

    def unmount_disk(self, disk_cid: str) -> None:
        """Unmount a disk wherever it is."""
        for source, point in reversed(self._mounts()):
            if source == self._hints[disk_cid]:
                self.vm.run("umount", point)

    def migrate_disk(self) -> None:
        """Copy all data to the disk that is mounted for it, and swap the two."""
        (new,) = [source for source, point in self._mounts() if point == MIGRATION]
        self.vm.run("mount", "-o", "remount,ro", STORE)
        self.vm.shell(f"tar -C {STORE} -c -f - . | tar -C {MIGRATION} -x -p -f -")
        self.vm.run("umount", STORE)
        self.vm.run("umount", MIGRATION)
        self._mount(new, STORE)

    def _mount(self, source: str, point: str) -> None:
        self.vm.run("mkdir", "-p", point)
        self.vm.run("mount", source, point)

    def _mounts(self) -> list[tuple[str, str]]:
        fields = [line.split() for line in self.vm.read("/proc/mounts").splitlines()]
        return [(source, point) for source, point, *_ in fields]

    def size(self) -> int:
        """Return the size of what is mounted as the store, in MiB."""
        told = self.vm.run("df", "-P", "-m", STORE).splitlines()[-1].split()
        return int(told[1])

    def write(self, text: str) -> None:
        """Keep a text on the store."""
        self.vm.shell(f"echo {text} >{STORE}/kept")

    def read(self) -> str:
        """Read the text on the store."""
        return self.vm.read(f"{STORE}/kept").strip()
