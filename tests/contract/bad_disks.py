"""Requests about disks, snapshots and light stemcells that are refused."""

from __future__ import annotations

from typing import Any

from tests.contract.bad_requests import TEXT, call
from tests.contract.cases import Case

WHOLE = "must be a whole number above 0"
SIZES: list[tuple[Any, str]] = [
    (None, "None"),
    (0, "0"),
    (-1, "-1"),
    (1.5, "1.5"),
    (True, "True"),
    ("1024", "'1024'"),
    ([1], r"\[1\]"),
]


def _sizes() -> list[Case]:
    cases = []
    for value, shown in SIZES:
        for name, given in (
            ("size", call("create_disk", value, {}, "vm-1")),
            ("new_size", call("resize_disk", "disk-1", value)),
            ("new_size", call("update_disk", "disk-1", value, {})),
        ):
            label = f"{given['method']} of {value!r} MiB"
            cases.append(Case(label, given, f"{name}: {shown} {WHOLE}"))
    return cases


OBJECT = "must be an object"
# What the executable itself refuses: the daemon is not even there.
ARGUMENTS = [
    *_sizes(),
    Case(
        "properties of a disk in a list",
        call("create_disk", 1024, []),
        rf"cloud_properties: \[\] {OBJECT}",
    ),
    Case(
        "properties of a disk in a text",
        call("create_disk", 1024, "ssd"),
        f"cloud_properties: 'ssd' {OBJECT}",
    ),
    Case("a number as VM", call("create_disk", 1024, {}, 5), f"vm_cid: 5 {TEXT}"),
    Case("an empty VM", call("create_disk", 1024, {}, ""), f"vm_cid: '' {TEXT}"),
    Case("no disk to attach", call("attach_disk", "vm-1", None), f"disk_cid: None {TEXT}"),
    Case(
        "hints to attach",
        call("attach_disk", "vm-1", "disk-1", {}),
        "attach_disk: wrong number of arguments: 3 given",
    ),
    Case("a list to detach", call("detach_disk", "vm-1", []), rf"disk_cid: \[\] {TEXT}"),
    Case(
        "new properties in a text",
        call("update_disk", "disk-1", 1024, "x"),
        f"cloud_properties: 'x' {OBJECT}",
    ),
    Case(
        "metadata of a snapshot",
        call("snapshot_disk", "disk-1", ["x"]),
        rf"metadata: \['x'\] {OBJECT}",
    ),
    Case("a NUL in a snapshot", call("delete_snapshot", "s\0"), "snapshot_cid: .*NUL"),
    Case("a surrogate in a disk", call("has_disk", "\udfff"), "disk_cid: .*UTF-8"),
    Case("a long disk", call("has_disk", "d" * 2000), "disk_cid: has 2000 characters"),
]

LARGE = 1 << 28
NO_FILESYSTEMS: list[Any] = ["btrfs", 4, None, ["ext4"], {}, ""]
REFERENCE = "cloud_properties.image_reference"
# What only the daemon can refuse.
DISKS = [
    Case(
        "a disk that is too large",
        call("create_disk", LARGE + 1, {}),
        f"size: {LARGE + 1} must be a whole number of MiB from 1 to {LARGE}",
    ),
    Case(
        "a size without end",
        call("create_disk", 10**30, {}),
        f"size: {10**30} must be a whole number of MiB",
    ),
    Case(
        "more than there is",
        call("create_disk", LARGE, {}),
        f"{LARGE} MiB are wanted.*disks.overcommit",
        "NoDiskSpace",
    ),
    *[
        Case(
            f"a disk with {filesystem!r}",
            call("create_disk", 1024, {"filesystem": filesystem}),
            "cloud_properties.filesystem: .* must be ext4 or xfs",
        )
        for filesystem in NO_FILESYSTEMS
    ],
    *[
        Case(
            f"{method} of an unknown disk",
            call(method, *arguments),
            "there is no disk 'disk-x'",
            "DiskNotFound",
        )
        for method, arguments in (
            ("resize_disk", ["disk-x", 1024]),
            ("update_disk", ["disk-x", 1024, {}]),
            ("snapshot_disk", ["disk-x", {}]),
            ("snapshot_disk", ["disk-x"]),
            ("set_disk_metadata", ["disk-x", {}]),
        )
        if len(arguments) != 1
    ],
    *[
        Case(
            f"{method} with an unknown VM",
            call(method, *arguments),
            "there is no VM 'vm-x'",
            "VMNotFound",
        )
        for method, arguments in (
            ("attach_disk", ["vm-x", "disk-x"]),
            ("detach_disk", ["vm-x", "disk-x"]),
            ("get_disks", ["vm-x"]),
        )
    ],
    *[
        Case(
            f"{reference!r} as an image",
            call("create_stemcell", "/none", {"image_reference": reference}),
            f"{REFERENCE}: .* must be .*NAME.*oci-archive:/PATH",
        )
        for reference in (None, 5, ["docker://x"])
    ],
]
