"""How this machine reaches packages, so that programs in a tree reach them as well."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.distributions.releases import Family

PROXY = re.compile(r"\w+_proxy", re.IGNORECASE)
PIP_OPTION = re.compile(
    r"\S+\.(index-url|extra-index-url|trusted-host|proxy|default-timeout|retries)='(.*)'"
)
APT_OPTION = re.compile(r"Acquire::(Check-|Retries|https?::)")
RESOLVING = ("etc/resolv.conf", "etc/hosts")
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
# Where a tree has these: its own packages replace those in the usual place.
HANDED = Path("/etc/certificates-of-the-machine.crt")


def environment() -> dict[str, str]:
    """Return the variables by which pip and others in a tree reach packages."""
    found = {name: value for name, value in os.environ.items() if PROXY.fullmatch(name)}
    for line in _output(sys.executable, "-m", "pip", "config", "list").splitlines():
        option = PIP_OPTION.fullmatch(line)
        if option:
            # The machine's directories are not in the tree.
            urls = [url for url in option[2].split() if not url.startswith(("/", "file:"))]
            if urls:
                found["PIP_" + option[1].upper().replace("-", "_")] = " ".join(urls)
    if CERTIFICATES.exists():
        found |= dict.fromkeys(("PIP_CERT", "SSL_CERT_FILE"), str(HANDED))
    return found


def apt_proxies() -> dict[str, str]:
    """Return the proxies of apt as variables: debootstrap does not ask apt for them."""
    found = {}
    for scheme in ("http", "https"):
        name = f"{scheme}_proxy"
        told = _output("apt-config", "shell", name, f"Acquire::{scheme}::Proxy")
        if told:
            found[name] = told.strip().partition("=")[2].strip("'")
    return found


def mirror(family: Family) -> str | None:
    """Return where apt gets packages of a family from; None if it gets none."""
    form = "$(ORIGIN)|$(LABEL)|$(REPO_URI)"
    for line in _output("apt-get", "indextargets", "--format", form).splitlines():
        origin, label, uri = line.split("|")
        if origin == label == family.name:
            return uri
    return None


def hand_over(root: Path) -> None:
    """Give a tree the files by which its programs reach packages as this machine does."""
    for name in RESOLVING:
        (root / name).unlink(missing_ok=True)
        shutil.copyfile(Path("/", name), root / name)
    options = ""
    if CERTIFICATES.exists():
        shutil.copyfile(CERTIFICATES, root / HANDED.relative_to("/"))
        options = f'Acquire::https::CAInfo "{HANDED}";\n'
    dumped = _output("apt-config", "dump").splitlines(keepends=True)
    options += "".join(line for line in dumped if APT_OPTION.match(line))
    (root / "etc/apt/apt.conf.d/90machine").write_text(options)


def _output(*argv: str) -> str:
    return subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=True).stdout
