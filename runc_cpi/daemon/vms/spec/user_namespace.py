"""What differs in the specification of a VM that has a user namespace of its own."""

from __future__ import annotations

from typing import Any

from runc_cpi.daemon.base.id_range import SIZE, IdRange


def id_mappings(ids: IdRange) -> dict[str, Any]:
    """Return the mappings of a VM's ids for the C{linux} part of the specification."""
    mapping = [{"containerID": 0, "hostID": ids.first, "size": SIZE}]
    return {"uidMappings": mapping, "gidMappings": mapping}
