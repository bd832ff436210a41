"""A runtime that fails, or waits, when a test says so; otherwise it is runc."""

from __future__ import annotations

import shutil
from pathlib import Path

# The operation is the first word that is no option of the runtime itself.
_SCRIPT = """\
#!/bin/sh
here={directory}
for word; do
  case $word in
    create|start|exec|delete) operation=$word; break ;;
  esac
done
echo "$operation" >>"$here/calls"
if [ -e "$here/wait-$operation" ]; then
  : >"$here/waiting-$operation"
  while [ -e "$here/wait-$operation" ]; do sleep 0.02; done
fi
if [ -e "$here/fail-$operation" ]; then
  cat "$here/fail-$operation" >&2
  exit 1
fi
{runc} "$@"
status=$?
if [ -e "$here/wait-after-$operation" ]; then
  : >"$here/waiting-$operation"
  while [ -e "$here/wait-after-$operation" ]; do sleep 0.02; done
fi
if [ -e "$here/fail-after-$operation" ]; then
  cat "$here/fail-after-$operation" >&2
  exit 1
fi
exit $status
"""


class Wrapper:
    """
    The runtime, and what it is to do next.

    @ivar program: its path.
    """

    def __init__(self, directory: Path) -> None:
        directory.mkdir()
        self._directory = directory
        self.program = directory / "runtime"
        runc = shutil.which("runc")
        self.program.write_text(_SCRIPT.format(directory=directory, runc=runc))
        self.program.chmod(0o755)

    def fail(self, operation: str, complaint: str, *, after: bool = False) -> None:
        """Have an operation fail from now on, before or after runc has done it."""
        name = f"fail-after-{operation}" if after else f"fail-{operation}"
        (self._directory / name).write_text(complaint + "\n")

    def hold(self, operation: str, *, after: bool = False) -> None:
        """Have an operation wait before it does anything, or after all is done."""
        name = f"wait-after-{operation}" if after else f"wait-{operation}"
        (self._directory / name).touch()

    def is_waiting(self, operation: str) -> bool:
        """Say whether an operation has come so far that it waits."""
        return (self._directory / f"waiting-{operation}").exists()

    def mend(self) -> None:
        """Have everything work again, at once."""
        for pattern in ("fail-*", "wait-*", "waiting-*"):
            for path in self._directory.glob(pattern):
                path.unlink()

    def calls(self) -> list[str]:
        """Return the operations that it was asked for."""
        return (self._directory / "calls").read_text().split()
