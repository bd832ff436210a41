"""Reading mountinfo, which a VM can fill with what it likes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from runc_cpi.daemon.host.disks import holders
from runc_cpi.daemon.host.disks.mountinfo import Mount, parse
from runc_cpi.daemon.host.disks.mounts import mount_points
from runc_cpi.printable import printable
from tests.harness.waiting import eventually

TABLE = rb"""
21 1 0:34 / / rw,relatime - overlay overlay rw,lowerdir=/l
30 21 7:3 / /var/vcap/store rw,relatime shared:1 master:2 - ext4 /dev/disk-1 rw
31 30 7:3 /a\040b /mnt/with\040space\011tab\012line\134back rw - ext4 /dev/disk-1 rw
32 21 0:45 /\303\251 /mnt/x//deleted rw propagate_from:2 - tmpfs none rw
""".lstrip()


def test_fields() -> None:
    """A line is read with or without optional fields."""
    assert parse(TABLE)[:2] == [
        Mount(21, "0:34", "/", "/", "overlay", "rw,lowerdir=/l"),
        Mount(30, "7:3", "/", "/var/vcap/store", "ext4", "rw"),
    ]
    assert parse(b"") == []


def test_escapes() -> None:
    """Blanks and backslashes in names are read from octal."""
    mount = parse(TABLE)[2]
    assert mount.root == "/a b"
    assert mount.point == "/mnt/with space\ttab\nline\\back"


def test_an_escaped_backslash_begins_no_escape() -> None:
    """A backslash of a name and the digits after it are no escape."""
    (mount,) = parse(rb"1 1 7:0 / /a\134040b rw - ext4 x rw")
    assert mount.point == r"/a\040b"


def test_the_order_is_kept() -> None:
    """Mounts are in the kernel's order: a later one hides those before it."""
    assert [mount.device for mount in parse(TABLE)] == [
        "0:34",
        "7:3",
        "7:3",
        "0:45",
    ]


def test_our_own_mounts() -> None:
    """Mount points are returned with the last mounted first, as they must be unmounted."""

    def agreed() -> bool:
        points = mount_points(os.getpid(), lambda _: True)
        ours = parse(Path("/proc/self/mountinfo").read_bytes())
        return "/" in points and points == [mount.point for mount in reversed(ours)]

    # Other tests mount and unmount meanwhile.
    eventually(agreed, "both ways to read the mounts agree")


@pytest.mark.parametrize(
    ("path", "below"),
    [("/a", True), ("/a/b", True), ("/ab", False), ("/", False), ("/b/a", False)],
)
def test_what_is_below_a_mount_point(path: str, below: bool) -> None:
    """A path whose name only begins like a mount point is not below it."""
    assert holders.is_below(path, "/a") is below


@pytest.mark.parametrize(
    "name",
    [
        "/a\u2028b",
        "/a\x85b",
        "/a\rb",
        "/a\x0b\x0c\x1cb",
        "/\xa0",
        "/a\udcff\udcfe",
        "/\u3000b",
    ],
)
def test_nothing_but_blanks_and_newlines_separates(name: str) -> None:
    """A name with what Python takes for the end of a line forges no entry."""
    table = b"30 21 7:3 / %s rw - ext4 x rw\n31 21 7:4 / /z rw - ext4 x rw\n"
    first, second = parse(table % os.fsencode(name))
    assert first == Mount(30, "7:3", "/", name, "ext4", "rw")
    assert second.point == "/z"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("/var/vcap/store", "/var/vcap/store"),
        ("/stör", "/stör"),
        ("/a\udcff", r"/a\udcff"),
        ("/a\nb\x1b[2J", r"/a\nb\x1b[2J"),
        ("/a\u2028b", r"/a\u2028b"),
    ],
)
def test_names_in_messages(name: str, text: str) -> None:
    """Names take one line in messages, and can be written in any encoding."""
    assert printable(name, "") == text
