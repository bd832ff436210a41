"""The steps of L{tests.harness.steps} before which a death is like one before another."""

from __future__ import annotations

from runc_cpi.daemon.host.disks.loop_ioctl import LOOP_CTL_GET_FREE, LOOP_GET_STATUS64

# These steps have no effect that counts: writes to a file that is not whole yet, and mounts
# that only a VM sees that does not run yet. A file that was opened and is empty is found by
# the step that fills it. After the end of a program the daemon has done nothing yet, and to
# look for a free loop device, or at one, changes nothing. Nothing is read of the runtime's
# last log.
MINOR = (
    *("chmod", "chown", "utime", "fsync", "open", "bind", "ended"),
    *(f"ioctl {number:#x}" for number in (LOOP_CTL_GET_FREE, LOOP_GET_STATUS64)),
    *(f"remove runtime-{operation}.log" for operation in ("create", "start", "delete")),
)
