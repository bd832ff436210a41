"""
C{python -m tests.benchmarks.options --help}: the options of operations/benchmark.

It needs the standard library only: they are told before anything is installed.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from tests.benchmarks.subjects import SUBJECTS

PROGRAM = "operations/benchmark"
ROUNDS = 20
ABOUT = """
Measures every call of the CPI as BOSH makes it: a process for each, from its request to its
response. In the same rounds it does the same work by bare tools. The daemon has a network
namespace of its own.
"""


def number(text: str) -> int:
    """Return a number above 0."""
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} must be a number above 0")
    return int(text)


def path(text: str) -> Path:
    """Return a path, which is relative to where operations/benchmark was called."""
    return Path(os.environ.get("CALLED_IN", "."), text)


def new(text: str) -> Path:
    """Return the path of a file that can be written."""
    found = path(text)
    if found.is_dir() or not found.absolute().parent.is_dir():
        raise argparse.ArgumentTypeError(f"{text!r} must be a file in a directory there is")
    return found


def subject(text: str) -> str:
    """Return the name of what is measured, or its beginning."""
    if not any(each.name == text or each.name.startswith(f"{text},") for each in SUBJECTS):
        known = "; ".join(each.name for each in SUBJECTS)
        raise argparse.ArgumentTypeError(f"{text!r} must be one of: {known}")
    return text


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog=PROGRAM, description=ABOUT)
    parser.add_argument(
        "--rounds",
        type=number,
        default=ROUNDS,
        help="rounds of what takes milliseconds, 20 unless told; of the rest a quarter",
    )
    parser.add_argument(
        "--only",
        nargs="+",
        type=subject,
        default=[],
        metavar="NAME",
        help="measure these calls, such as create_vm, and what is measured with them",
    )
    parser.add_argument("--json", type=new, metavar="FILE", help="write the results")
    parser.add_argument(
        "--against", type=path, metavar="FILE", help="compare with results of before"
    )
    parser.add_argument("--plots", type=path, metavar="DIR", help="draw the results")
    parser.add_argument(
        "--scale",
        type=number,
        metavar="VMS",
        help="also measure calls and the daemon beside 0, 100, and so on up to VMS VMs",
    )
    parser.add_argument(
        "--stemcell",
        type=path,
        metavar="FILE",
        help="a real stemcell, or its image; without it, one is made up",
    )
    parser.add_argument(
        "--docker-cpi",
        type=path,
        metavar="FILE",
        help="measure this as well; without it, the docker-cpi of the search path. It "
        "needs a stemcell with bash, and a daemon of Docker: DOCKER_HOST's, or dockerd",
    )
    return parser.parse_args()


if __name__ == "__main__":
    arguments()
