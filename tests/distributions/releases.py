"""The distributions that the project is tried on."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Family:
    """
    Distributions of one origin.

    @ivar name: their origin, as apt names it.
    @ivar components: the parts of its archive that the project takes packages from.
    @ivar pockets: what is added to a suite's name for its updates, in the same archive.
    @ivar script: what debootstrap makes their releases by; an old one lacks the names of
        newer releases, which are made in the same way.
    @ivar keyring: the file with the keys that sign the archive.
    """

    name: str
    components: tuple[str, ...]
    pockets: tuple[str, ...]
    script: str
    keyring: str


@dataclass(frozen=True)
class Release:
    """
    One release of a distribution.

    @ivar name: what the command line calls it.
    @ivar suite: its name in the archive.
    """

    name: str
    family: Family
    suite: str


DEBIAN = Family(
    "Debian",
    components=("main",),
    pockets=("-updates",),
    script="sid",
    keyring="/usr/share/keyrings/debian-archive-keyring.gpg",
)
UBUNTU = Family(
    "Ubuntu",
    components=("main", "universe"),
    pockets=("-updates", "-security"),
    script="gutsy",
    keyring="/usr/share/keyrings/ubuntu-archive-keyring.gpg",
)
RELEASES = {
    release.name: release
    for release in (
        Release("debian-12", DEBIAN, "bookworm"),
        Release("debian-13", DEBIAN, "trixie"),
        Release("ubuntu-22.04", UBUNTU, "jammy"),
        Release("ubuntu-24.04", UBUNTU, "noble"),
    )
}
