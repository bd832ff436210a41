"""The note of the ids that a VM of profile C{isolated} has, in the VM's directory."""

from __future__ import annotations

import re
from pathlib import Path
from threading import Lock

from runc_cpi.daemon.base.id_range import SIZE, IdRange
from runc_cpi.errors import CloudError

FILE = "ids"
_lock = Lock()


def read(bundle: Path) -> IdRange | None:
    """
    Return the ids of a VM, or L{None} if it has those of the host.

    @param bundle: the VM's directory.
    @raise CloudError: if the note of them cannot be read: the VM must not boot with the
        host's ids then.
    """
    try:
        text = (bundle / FILE).read_text("ascii")
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise CloudError(f"{bundle / FILE}: cannot be read: {error}") from None
    if not re.fullmatch(r"[1-9][0-9]{0,9}\n", text) or int(text) % SIZE:
        raise CloudError(f"{bundle / FILE}: must hold a multiple of {SIZE}")
    return IdRange(int(text))


def assign(bundle: Path, first: int, last: int) -> IdRange:
    """
    Note for a new VM the first ids that no other VM beside it has.

    @param bundle: the VM's directory, which is there.
    @param first: the first id that VMs of this daemon may have.
    @param last: the last one.
    @raise CloudError: if all are taken.
    @raise OSError: if they cannot be noted.
    """
    with _lock:
        taken = set()
        for note in bundle.parent.glob(f"*/{FILE}"):
            # Ids that cannot be read are not known to be free.  Such a VM does not boot.
            found = read(note.parent)
            taken.add(found.first if found else 0)
        for start in range(first, last + 1, SIZE):
            if start not in taken:
                (bundle / FILE).write_text(f"{start}\n", "ascii")
                return IdRange(start)
    raise CloudError(
        f"security.ids: all {(last + 1 - first) // SIZE} ranges of {SIZE} ids are taken"
    )
