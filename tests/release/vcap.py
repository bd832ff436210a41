"""A /var/vcap of its own for a command, as on a director's VM."""

from __future__ import annotations

from pathlib import Path

VCAP = 1000
# The director's worker under bpm: an unprivileged user, who can write to TMPDIR alone.
# What is mounted here is seen by nobody else.
_SCRIPT = f"""\
set -eu
mount -t tmpfs -o mode=755 tmpfs /var
mkdir -p /var/vcap/packages /var/vcap/jobs
mount --bind "$1" /var/vcap/packages
mount --bind "$2" /var/vcap/jobs
mount -t tmpfs -o mode=1777,size=1m tmpfs /mnt
for point in / /var /var/vcap/packages /var/vcap/jobs; do
  mount -o remount,bind,ro "$point"
done
shift 2
for file in /x /var/x /var/vcap/packages/x /var/vcap/jobs/x; do
  if touch "$file" 2>/dev/null; then echo "$file: can be written" >&2; exit 1; fi
done
exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/home/vcap TMPDIR=/mnt \\
  setpriv --reuid={VCAP} --regid={VCAP} --clear-groups --no-new-privs "$@"
"""


def sandboxed(packages: Path, jobs: Path) -> list[str]:
    """Return what to put before a command that is to see these directories."""
    unshare = ["unshare", "--mount", "--propagation", "private"]
    return [*unshare, "sh", "-c", _SCRIPT, "sandbox", str(packages), str(jobs)]
