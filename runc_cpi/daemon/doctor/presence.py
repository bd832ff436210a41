"""Whether a daemon runs, also one that does not let us ask."""

from __future__ import annotations

from runc_cpi.daemon.doctor.finding import Patient
from runc_cpi.daemon.storage import lock, lock_holders


def holder(patient: Patient) -> str:
    """
    Name the daemon that has the C{work_dir}, such as C{123 (twistd)}.

    @return: an empty text if there is none, or we may not see it: that takes root.
    """
    return lock_holders.names(patient.config.work_dir / lock.NAME)
