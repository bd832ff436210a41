"""What differs in the specification of a VM that has a user namespace of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from runc_cpi.daemon.base.id_range import SIZE, IdRange

# Directories that every host has, and any user can reach (FHS).
_POINTS = (Path("/mnt"), Path("/media"))


def root_path(bundle: Path) -> Path:
    """
    Return where the root file system is mounted, in a mount namespace of the runtime.

    The VM's root cannot reach the VM's directory: no other user of the host can.

    @param bundle: the VM's directory, which must be seen there as well.
    """
    return next(point for point in _POINTS if not bundle.is_relative_to(point))


def id_mappings(ids: IdRange) -> dict[str, Any]:
    """Return the mappings of a VM's ids for the C{linux} part of the specification."""
    mapping = [{"containerID": 0, "hostID": ids.first, "size": SIZE}]
    return {"uidMappings": mapping, "gidMappings": mapping}
