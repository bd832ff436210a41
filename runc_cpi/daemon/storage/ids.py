"""The record of the ids that a VM of profile C{isolated} has, in the VM's directory."""

from __future__ import annotations

import os
from hashlib import sha256
from pathlib import Path
from threading import Lock

from runc_cpi.daemon.base.id_range import SIZE, IdRange
from runc_cpi.daemon.storage.records import read_record, write_record
from runc_cpi.errors import CloudError

RECORD = "ids.json"
_lock = Lock()


def read(bundle: Path) -> IdRange | None:
    """
    Return the ids of a VM, or L{None} if it has those of the host.

    @param bundle: the VM's directory.
    @raise CloudError: if the record cannot be read: the VM must not boot with the host's
        ids then.
    """
    record = bundle / RECORD
    try:
        first = read_record(record)["first"]
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError) as error:
        raise CloudError(f"{record}: cannot be read: {error}") from None
    if type(first) is not int or not 0 < first < 1 << 32 or first % SIZE:
        raise CloudError(f"{record}: first must be a multiple of {SIZE}")
    return IdRange(first)


def assign(bundle: Path, first: int, last: int) -> IdRange:
    """
    Give a new VM ids that no other VM beside it has, and record that.

    Where the search begins depends on the C{work_dir}, so that two daemons that may have
    the same ids hardly ever give the same ones.

    @param bundle: the VM's directory, which is there.
    @param first: the first id that VMs of this daemon may have.
    @param last: the last one.
    @raise CloudError: if all are taken.
    @raise OSError: if they cannot be recorded.
    """
    with _lock:
        taken = {start for other in bundle.parent.iterdir() for start in _taken_by(other)}
        starts = range(first, last + 1, SIZE)
        digest = sha256(os.fsencode(os.path.realpath(bundle.parent))).digest()
        begin = int.from_bytes(digest[:8], "big") % len(starts)
        for start in (*starts[begin:], *starts[:begin]):
            if start not in taken:
                write_record(bundle / RECORD, {"first": start})
                return IdRange(start)
    raise CloudError(
        f"security.ids: all {(last + 1 - first) // SIZE} ranges of {SIZE} ids are taken"
    )


def _taken_by(bundle: Path) -> set[int]:
    """Return the first id of a VM, also of one whose record cannot be read."""
    found = set()
    try:
        if (ids := read(bundle)) is not None:
            found.add(ids.first)
    except CloudError:
        pass  # its files tell as well
    # With a root disk these are links, which belong to the VM as well.
    for name in ("work", "upper", "data"):
        try:
            owner = (bundle / name).lstat().st_uid
        except OSError:
            continue  # it is being made, or removed
        found.add(owner - owner % SIZE)
    return found
