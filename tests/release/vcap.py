"""A private /var/vcap for a command, as on a director's VM."""

from __future__ import annotations

from pathlib import Path

from tests.harness import images

VCAP = 1000
_STEMCELLS = Path("/var/vcap/stemcells")

# The director's worker under bpm: an unprivileged user, who can write only to TMPDIR. The
# mounts are in a private namespace.
_SCRIPT = f"""\
set -eu
# Open, as what is mounted here can hide them.
exec 3<"$1" 4<"$2" 5<"$3"
mount -t tmpfs -o mode=755 tmpfs /var
mkdir -p /var/vcap/packages /var/vcap/jobs /var/vcap/stemcells
mount --no-canonicalize --bind /proc/self/fd/3 /var/vcap/packages
mount --no-canonicalize --bind /proc/self/fd/4 /var/vcap/jobs
mount --no-canonicalize --bind /proc/self/fd/5 /var/vcap/stemcells
mount -t tmpfs -o mode=1777,size=1m tmpfs /mnt
for point in / /var /var/vcap/packages /var/vcap/jobs /var/vcap/stemcells; do
  mount -o remount,bind,ro "$point"
done
shift 3
exec 3<&- 4<&- 5<&-
for file in /x /var/x /var/vcap/packages/x /var/vcap/jobs/x; do
  if touch "$file" 2>/dev/null; then echo "$file: can be written" >&2; exit 1; fi
done
exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/home/vcap TMPDIR=/mnt \\
  setpriv --reuid={VCAP} --regid={VCAP} --clear-groups --no-new-privs "$@"
"""


def sandboxed(packages: Path, jobs: Path) -> list[str]:
    """Return the prefix of a command that makes it see these directories."""
    unshare = ["unshare", "--mount", "--propagation", "private"]
    directories = map(str, (packages, jobs, images.CACHE))
    return [*unshare, "sh", "-c", _SCRIPT, "sandbox", *directories]


def seen(image: Path) -> Path:
    """Return the path of a stemcell's image in the sandbox, wherever this clone is."""
    return _STEMCELLS / image.relative_to(images.CACHE)
