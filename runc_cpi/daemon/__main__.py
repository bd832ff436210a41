"""C{runc-cpid}: runs the daemon in the foreground where C{twistd} is not on the PATH."""

from __future__ import annotations

import sys

from twisted.scripts import twistd


def main() -> None:
    """Run C{twistd -n runc-cpid} with the arguments of the command line."""
    sys.argv[1:1] = ["--nodaemon", "--pidfile=", "runc-cpid"]
    twistd.run()


if __name__ == "__main__":
    main()
