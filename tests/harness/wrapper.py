"""
A runtime that fails, or waits, when a test says so; otherwise it is runc.

It hides the file by which a daemon starts a container of runc, so that it is asked to.
"""

from __future__ import annotations

import shutil
from pathlib import Path

# The operation is the first word that is no option of the runtime itself.
_SCRIPT = """\
#!/bin/sh
here={directory}
for word; do
  [ "$last" = --root ] && root=$word
  last=$word
done
for word; do
  case $word in
    create|start|exec|delete) operation=$word; break ;;
  esac
done
hold() {{
  held=$here/wait-$1
  [ -e "$held" ] || return 0
  if [ -s "$held" ]; then
    mv "$held" "$held-alone"
    held=$held-alone
  fi
  : >"$here/waiting-$operation"
  while [ -e "$held" ]; do sleep 0.02; done
}}
fail() {{
  [ -e "$here/fail-$1" ] || return 0
  cat "$here/fail-$1" >&2
  exit 1
}}
work() {{
  echo "$operation" >>"$here/calls"
  hold "$operation"
  fail "$operation"
  fifo=$root/$last/exec.fifo
  [ "$operation" = start ] && [ -e "$fifo.hidden" ] && mv "$fifo.hidden" "$fifo"
  {runc} "$@"
  status=$?
  [ "$operation" = create ] && [ "$status" = 0 ] && mv "$fifo" "$fifo.hidden"
  hold "after-$operation"
  fail "after-$operation"
  exit $status
}}
{work}
"""


class Wrapper:
    """
    The runtime, and what it is to do next.

    @ivar apart: whether its work is done by a process that it starts and waits for.
    @ivar program: its path.
    """

    def __init__(self, directory: Path, *, apart: bool = False) -> None:
        self.apart = apart
        directory.mkdir()
        self._directory = directory
        self.program = directory / "runtime"
        runc = shutil.which("runc")
        work = 'work "$@" & wait $!' if apart else 'work "$@"'
        script = _SCRIPT.format(directory=directory, runc=runc, work=work)
        self.program.write_text(script)
        self.program.chmod(0o755)

    def fail(self, operation: str, complaint: str, *, after: bool = False) -> None:
        """Have an operation fail from now on, before or after runc has done it."""
        name = f"fail-after-{operation}" if after else f"fail-{operation}"
        (self._directory / name).write_text(complaint + "\n")

    def hold(self, operation: str, *, after: bool = False, once: bool = False) -> None:
        """
        Have an operation wait before it does anything, or after all is done.

        @param once: whether only the next one is to wait.
        """
        name = f"wait-after-{operation}" if after else f"wait-{operation}"
        (self._directory / name).write_text("once" if once else "")

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
