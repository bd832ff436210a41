"""The steps of L{tests.harness.steps} before which a death is like one before another."""

from __future__ import annotations

# These steps have no effect that counts: writes to a file that is not whole yet, and mounts
# that only a VM sees that does not run yet. A file that was opened and is empty is found by
# the step that fills it.
MINOR = ("chmod", "chown", "utime", "fsync", "open", "bind")
