"""What is measured: the calls, what each is compared with, and what it should take."""

from __future__ import annotations

from dataclasses import dataclass

CROWD = 20

PYTHON = "python3 -I -S -c pass"
UNPACK = "decompressor | tar, sync"
HASH = "sha256sum"
REMOVE_TREE = "rm -rf of the unpacked image"
RUN = "runc create + start"
RUN_CROWD = f"{RUN}, {CROWD} at once"
END = "runc delete --force"
END_CROWD = f"{END}, {CROWD} at once"
RESTART = f"{END}, create + start"
MAKE_DISK = "truncate + mkfs.ext4"
MOUNT = "mount -o loop"
UNMOUNT = "umount"
COPY = "cp --sparse"
REMOVE_DISK = "rm -rf of the disk"
REMOVE_COPY = "rm -rf of the copy"


@dataclass(frozen=True)
class Aim:
    """
    What a call should take at most.

    @ivar ms: milliseconds.
    @ivar times: how many times as long as the bare tool.
    """

    ms: float | None = None
    times: float | None = None


@dataclass(frozen=True, kw_only=True)
class Subject:
    """
    A call that is measured as a whole process, from its request to its response.

    @ivar name: the call, as the table has it.
    @ivar bare: what it is compared with: the same work by bare tools, in the same rounds.
    @ivar less: a call whose time is taken off before it is compared.
    """

    name: str
    bare: str
    less: str = ""
    aim: Aim = Aim()


INFO = "info"
HAS_VM = "has_vm"
CREATE_STEMCELL = "create_stemcell"
CREATE_AGAIN = "create_stemcell, the same image again"
CREATE_BY_TCP = "create_stemcell, streamed by tcp"
CREATE_BY_TLS = "create_stemcell, streamed by TLS"
AGAIN_BY_TCP = "create_stemcell, the same again by tcp"
DELETE_STEMCELL = "delete_stemcell"
CREATE_VM = "create_vm"
REBOOT_VM = "reboot_vm"
DELETE_VM = "delete_vm"
CREATE_CROWD = f"create_vm x {CROWD}, until the last"
DELETE_CROWD = f"delete_vm x {CROWD}, until the last"
CREATE_DISK = "create_disk"
ATTACH_DISK = "attach_disk"
DETACH_DISK = "detach_disk"
SNAPSHOT_DISK = "snapshot_disk"
DELETE_SNAPSHOT = "delete_snapshot"
DELETE_DISK = "delete_disk"

SUBJECTS = (
    Subject(name=INFO, bare=PYTHON, aim=Aim(times=1.3)),
    Subject(name=HAS_VM, bare=PYTHON, aim=Aim(times=1.7)),
    Subject(name=CREATE_STEMCELL, bare=UNPACK, aim=Aim(times=1.05)),
    Subject(name=CREATE_BY_TCP, bare=UNPACK, aim=Aim(times=1.05)),
    Subject(name=CREATE_BY_TLS, bare=UNPACK, aim=Aim(times=1.05)),
    Subject(name=CREATE_AGAIN, bare=HASH, aim=Aim(ms=300)),
    Subject(name=AGAIN_BY_TCP, bare=HASH, aim=Aim(ms=300)),
    Subject(name=CREATE_VM, bare=RUN, less=INFO, aim=Aim(ms=80, times=1.5)),
    Subject(name=CREATE_DISK, bare=MAKE_DISK, aim=Aim(ms=25)),
    Subject(name=ATTACH_DISK, bare=MOUNT, aim=Aim(ms=30)),
    Subject(name=DETACH_DISK, bare=UNMOUNT, aim=Aim(ms=35)),
    Subject(name=SNAPSHOT_DISK, bare=COPY),
    Subject(name=DELETE_SNAPSHOT, bare=REMOVE_COPY),
    Subject(name=DELETE_DISK, bare=REMOVE_DISK, aim=Aim(ms=20)),
    Subject(name=REBOOT_VM, bare=RESTART),
    Subject(name=DELETE_VM, bare=END, aim=Aim(ms=45)),
    Subject(name=CREATE_CROWD, bare=RUN_CROWD, aim=Aim(ms=1300)),
    Subject(name=DELETE_CROWD, bare=END_CROWD, aim=Aim(ms=900)),
    Subject(name=DELETE_STEMCELL, bare=REMOVE_TREE, aim=Aim(ms=30)),
)
BY_NAME = {subject.name: subject for subject in SUBJECTS}
