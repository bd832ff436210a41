"""What the benchmark runs on, so that a reader knows what its figures are worth."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[2]
MEBIBYTE = 1 << 20


def described(place: Path, runtime: str = "runc") -> dict[str, Any]:
    """
    Describe this machine.

    @param place: a directory on the file system that is measured.
    """
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // MEBIBYTE
    return {
        "at": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "commit": _said("git", "-C", str(PROJECT), "describe", "--always", "--dirty"),
        "processors": os.cpu_count(),
        "processor": model[1] if model else platform.machine(),
        "memory_mib": memory,
        "load": round(os.getloadavg()[0], 2),
        "kernel": platform.release().partition("-")[0],
        "system": platform.freedesktop_os_release().get("PRETTY_NAME", ""),
        "file_system": _said("findmnt", "-no", "FSTYPE", "-T", str(place)),
        "python": platform.python_version(),
        "runtime": _said(runtime, "--version"),
    }


def _said(*argv: str) -> str:
    """Return the first line that a program writes, or nothing if it fails."""
    try:
        done = subprocess.run(argv, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return done.stdout.partition("\n")[0]


def sentence(machine: dict[str, Any]) -> str:
    """Say in words what such a description says."""
    memory = round(machine["memory_mib"] / 1024)
    docker = f", Docker {machine['docker']}" if "docker" in machine else ""
    return (
        f"{machine['processors']} processors ({machine['processor']}), {memory} GiB, "
        f"{machine['file_system']}, {machine['system']}, Linux {machine['kernel']}, "
        f"{machine['runtime']}, Python {machine['python']}{docker}; "
        f"load {machine['load']:g} at the beginning; {machine['at']}, "
        f"at {machine['commit']}"
    )
