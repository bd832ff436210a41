"""What a hostile caller can send: arguments, bytes, ids, settings and archives."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Iterator
from random import Random
from typing import Any

from hypothesis import strategies as st

from runc_cpi import wire
from tests.contract.peers import COMMANDS
from tests.harness.images import entry, shell_entries

DEEP = 100_000
LONG = 70_000

IDS = [
    "",
    ".",
    "..",
    "/",
    "-rf",
    "--help",
    "--root=/",
    "../../../../etc/passwd",
    "/etc/passwd",
    "vm-",
    "vm-../../../../etc",
    "stemcell-/../..",
    "disk-*",
    "vm-00000000-0000-0000-0000-000000000000",
    "vm-00000000-0000-0000-0000-000000000000/../..",
    "stemcell-%s%n",
    "$(touch canary)",
    "; touch canary",
    "`touch canary`",
    "a\0b",
    "a\nb",
    "\x1b[2J",
    "{vm_cid}",
    "{0.__class__}",
    "\u202e\ufeff\U0001f4a5",
    "vm-" + "a" * 300,
    "x" * LONG,
]

NUMBERS = [
    0,
    -1,
    1,
    3,
    1 << 31,
    1 << 63,
    1 << 64,
    10**400,
    1e308,
    -1e-308,
    0.5,
    True,
    False,
    None,
]

KEYS = ["cpu", "ram", "ephemeral_disk_size", "init", "filesystem", "image_reference"] + [
    "image_digest",
    "type",
    "ip",
    "netmask",
    "gateway",
    "dns",
    "default",
    "prefix",
    "cloud_properties",
    "mbus",
    "ntp",
    "blobstore",
    "provider",
    "options",
    "bosh",
    "__class__",
]

texts = st.sampled_from(IDS[:-1]) | st.text(max_size=12)
values = st.recursive(
    st.sampled_from(NUMBERS)
    | texts
    | st.sampled_from(["manual", "dynamic", "vip", "runit", "systemd", "xfs", "10.77.0.9"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(KEYS) | texts, inner, max_size=5)
    ),
    max_leaves=8,
)
# JSON, what is nearly JSON, and what has no end.
odd_json = st.sampled_from(
    [
        b"",
        b"{",
        b"[" * DEEP,
        b'{"a":' * DEEP,
        b"[" * 5000 + b"]" * 5000,
        b'"\\ud800"',
        b'{"\\udfff": {"type": "dynamic"}}',
        b"NaN",
        b"-Infinity",
        b"1e999",
        b"9" * 5000,
        b"\xff\xfe",
        b"\0",
        b'{"a": 1, "a": 2}',
        b"[1, 2",
        b'"' + b"x" * LONG,
        json.dumps("x" * LONG).encode(),
        json.dumps({str(n): n for n in range(3000)}).encode(),
    ]
)
json_texts = values.map(lambda value: json.dumps(value).encode()) | odd_json
integers = st.sampled_from(
    [b"", b"-1", b"0", b"1", b"7", b"1_0", b" 5 ", b"0x10", b"1e9", b"9" * 4000]
    + [b"9" * 5000, b"%d" % (1 << 62), b"\xd9\xa3", b"nan", b"\0"]
) | st.binary(max_size=6)
raw = texts.map(lambda text: text.encode("utf-8", "replace")) | st.binary(max_size=20)
booleans = st.sampled_from([b"True", b"False", b"true", b"", b"1", b"\xff"])

SETS: dict[str, st.SearchStrategy[bytes]] = {
    **dict.fromkeys(("cloud_properties", "networks", "disk_cids"), json_texts),
    **dict.fromkeys(("env", "agent", "metadata", "subnet_definition"), json_texts),
    **dict.fromkeys(("size", "upload", "image"), integers),
    **dict.fromkeys(("agent_id", "request_id", "data"), raw),
    "in_settings": booleans,
}
CIDS = ("vm_cid", "stemcell_cid", "disk_cid", "snapshot_cid", "network_cid")
# It would fetch from other machines; the settings below check its arguments.
NAMES = sorted(set(COMMANDS) - {"FetchStemcell"})


def argument_sets(real: dict[str, str]) -> st.SearchStrategy[dict[str, bytes]]:
    """
    Return values for all arguments; any of them may be missing.

    @param real: ids of things that exist, which are tried now and then.
    """
    cids = {
        name: raw | st.sampled_from([cid.encode() for cid in real.values()])
        for name in CIDS
    }
    return st.fixed_dictionaries({}, optional={**SETS, **cids})


def calls(arguments: dict[str, bytes]) -> Iterator[bytes]:
    """Return a call of each command, and of an unknown one, with the same arguments."""
    for number, name in enumerate([*NAMES, "Nonsense\xff", "StartTLS", ""], 1):
        pairs = [(b"_ask", b"%x" % number), (b"_command", name.encode("latin-1"))]
        for argument, value in arguments.items():
            pairs += wire.split(argument.encode(), value)
        yield wire.encode_box(pairs)


def messages(random: Random) -> list[bytes]:
    """Return messages with correct framing and odd contents."""
    return [_box(random) for _ in range(random.randrange(8, 12))]


def no_message(random: Random) -> bytes:
    """Return bytes that are no message, the beginning of one, or a damaged one."""
    kind = random.randrange(3)
    if kind == 0:
        return random.randbytes(random.randrange(1, 200))
    box = bytearray(_box(random))
    if kind == 1:
        return bytes(box[: random.randrange(1, len(box))])
    box[random.randrange(len(box))] ^= 1 << random.randrange(8)
    return bytes(box)


def _box(random: Random) -> bytes:
    pairs = [(b"_ask", random.randbytes(random.randrange(4)))]
    pairs.append((b"_command", random.choice(NAMES).encode()))
    if random.random() < 0.1:
        pairs[1] = (b"_command", random.randbytes(random.randrange(9)))
    for _ in range(random.randrange(6)):
        key = random.choice([*SETS, *CIDS, "data.1", "env.1", "_more"]).encode()
        pairs.append((key, random.randbytes(random.choice([0, 1, 5, 40, 2000]))))
    if random.random() < 0.02:
        # Answers to calls that the daemon never made.
        pairs[1] = (random.choice([b"_answer", b"_error"]), b"1")
    return wire.encode_box(pairs)


NETWORK = {"type": "dynamic"}


def settings() -> Iterator[dict[str, Any]]:
    """Return arguments of create_vm that must be refused."""
    for text in [*IDS, "0.0.0.0", "255.255.255.255", "10.77.0.0/8", "::1", "1.2.3.4\n"]:
        for network in (
            {"type": "manual", "ip": text},
            {"type": "dynamic", "dns": [text + "\n"]},
            {"type": "dynamic", "dns": [f"fe80::1%{text} \nnameserver 192.0.2.66"]},
            {"type": text or "/"},
        ):
            yield {"networks": {text: network}}
        yield {"cloud_properties": {"init": text or "/"}}
        yield {"cloud_properties": {"cpu": text}}
        yield {"stemcell_cid": text}
        yield {"disk_cids": text}
    for number in NUMBERS:
        for name in ("networks", "env", "agent"):
            yield {name: [number]}
        if number not in (1, 3, 0.5, None):
            yield {"cloud_properties": {"cpu": [number]}}
            yield {"cloud_properties": {"ram": number}}
            yield {"cloud_properties": {"ephemeral_disk_size": number and -number}}


REFERENCES = [
    *IDS[4:-1],
    "docker://-x",
    "docker:// --authfile=/etc/passwd",
    "dir:/etc",
    "oci:relative",
    "oci:/etc/passwd --insecure",
    "oci:/x:y:z",
    "docker-daemon:x",
    "containers-storage:x",
    "oci:/\n/etc",
    "ostree:/x@/",
]


def booting(
    busybox: bytes, *members: tuple[tarfile.TarInfo, bytes]
) -> list[tuple[tarfile.TarInfo, bytes]]:
    """Return archive members of a system that boots, unless the others prevent it."""
    return [
        entry("bin/busybox", busybox, mode=0o755),
        link("bin/sh", "busybox"),
        link("bin/sleep", "busybox"),
        *members,
        entry("usr/sbin/runsvdir-start", b"#!/bin/sh\nexec sleep 600\n", mode=0o755),
    ]


def rooted(*members: tuple[tarfile.TarInfo, bytes]) -> list[tuple[tarfile.TarInfo, bytes]]:
    """Return archive members that make an archive count as a root file system."""
    return [*shell_entries(), *members]


def link(name: str, target: str) -> tuple[tarfile.TarInfo, bytes]:
    """Return a symbolic link."""
    return entry(name, kind=tarfile.SYMTYPE, link=target)


# Where the daemon writes or looks in a stemcell, or in a VM made of it.
WRITTEN = [
    "etc",
    "etc/hostname",
    "etc/hosts",
    "etc/resolv.conf",
    "etc/systemd",
    "var",
    "var/vcap",
    "var/vcap/bosh",
    "var/vcap/bosh/bin",
    "var/vcap/bosh/bin/sync-time",
    "var/vcap/bosh/agent.json",
    "var/vcap/bosh/warden-cpi-agent-env.json",
    "var/vcap/bosh/managed_disk_settings.json",
    "var/vcap/data",
    "var/vcap/data/sys",
    "run",
    "dev",
    "proc",
    "sys",
    "tmp",
    "sbin/init",
    "usr/sbin",
    "lib",
]


def archives(canary: str, busybox: bytes, *, every: bool) -> Iterator[bytes]:
    """
    Return archives that try to write to C{canary}, or to make others write to it.

    @param canary: the absolute path of a directory that is not the daemon's. @param
    busybox: the program, for archives that can be booted. @param every: whether each file
    is led to the directory in every way, and not in one of them; more are damaged then.
    """
    up = "../" * 12 + canary.lstrip("/")
    escapes = [canary, up, f"/proc/self/root{canary}", f"/proc/1/root{canary}"]
    for where in escapes:
        yield tar(rooted(entry(f"{where}/kept", b"bad")))
        yield tar(rooted(entry(where, kind=tarfile.DIRTYPE, mode=0o777)))
        yield tar(rooted(link("x", where), entry("x/kept", b"bad")))
        yield tar(rooted(link("x", where), entry("x/new", b"bad")))
        yield tar(rooted(link("x", where), link("y", "x"), entry("y/new", b"bad")))
        yield tar(rooted(link("x", where), entry("x", kind=tarfile.DIRTYPE)))
        yield tar(rooted(link("x", f"{where}/kept"), entry("x", b"bad")))
        yield tar(
            rooted(
                entry("x", kind=tarfile.LNKTYPE, link=f"{where}/kept"), entry("x", b"bad")
            )
        )
        yield tar(
            rooted(
                link("x", where),
                entry("z", kind=tarfile.LNKTYPE, link="x/kept"),
                entry("z", b"bad"),
            )
        )
    ways = [f"{where}{end}" for where in escapes[1:3] for end in ("", "/kept")]
    for number, name in enumerate(WRITTEN):
        for way in ways if every else [ways[number % len(ways)]]:
            yield tar(rooted(link(name, way)))
        yield tar(booting(busybox, link(name, canary)))
        yield tar(booting(busybox, link(name, f"{canary}/kept")))
    for name in [
        *IDS[:-1],
        "--to-command=touch canary",
        "--checkpoint-action=exec=touch x",
    ]:
        yield tar(rooted(entry(name or "./", b"bad")))
        yield tar(rooted(link(f"x{name}", f"{canary}/kept")))
    for kind in (
        tarfile.CHRTYPE,
        tarfile.BLKTYPE,
        tarfile.FIFOTYPE,
        tarfile.CONTTYPE,
        b"Z",
    ):
        for name in ("bin/sh", "var/vcap/bosh/agent.json", "etc", "x"):
            yield tar(rooted(entry(name, kind=kind, mode=0o7777)))
    for content in (b"[" * DEEP, b'{"Platform": []}', b"\xff", b'"\\ud800"', b"9" * 5000):
        yield tar(rooted(entry("var/vcap/bosh/agent.json", content)))
    whole = tar(rooted(entry("noise", Random(1).randbytes(3000))))
    random = Random(2)
    for _ in range(60 if every else 20):
        damaged = bytearray(whole)
        for _ in range(random.choice([1, 3, 50])):
            damaged[random.randrange(len(damaged))] = random.randrange(256)
        yield bytes(
            damaged[: random.choice([len(damaged), random.randrange(len(damaged))])]
        )
    for magic in (b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd", b"\xfd7zXZ\0", b"BZh9", b"PK"):
        yield magic + random.randbytes(900)
        yield magic
    yield gzip.compress(bytes(64 << 20), 1)
    yield gzip.compress(gzip.compress(whole))
    yield whole + whole


def tar(members: list[tuple[tarfile.TarInfo, bytes]]) -> bytes:
    """Return a packed archive, with the names as they are given."""
    buffer = io.BytesIO()
    with tarfile.open(
        fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT, errors="surrogateescape"
    ) as target:
        for member, content in members:
            target.addfile(member, io.BytesIO(content))
    return buffer.getvalue()
