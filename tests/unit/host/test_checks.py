"""What is found out about the host: from texts that the kernel and others write."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from runc_cpi.daemon.host import capabilities, checks, name_servers, resource_limits

STATUS = """\
Name:\tpython3
CapInh:\t0000000000000000
CapPrm:\t{permitted}
CapEff:\t0000000000000000
CapBnd:\t{bounding}
CapAmb:\t0000000000000000
"""
ALL = "000001ffffffffff"
WITHOUT_SYS_RESOURCE = "000001fffeffffff"


@pytest.mark.parametrize(
    ("permitted", "bounding", "names"),
    [
        ("0000000000000000", ALL, set()),
        (ALL, "0000000000000000", set()),
        ("0000000000000001", ALL, {"CAP_CHOWN"}),
        ("0000000000200001", "0000000000200002", {"CAP_SYS_ADMIN"}),
        ("0000010000000000", ALL, {"CAP_CHECKPOINT_RESTORE"}),
    ],
)
def test_capabilities(permitted: str, bounding: str, names: set[str]) -> None:
    """Only what is in both sets can be passed on."""
    status = STATUS.format(permitted=permitted, bounding=bounding)
    assert capabilities.own_capabilities(status) == names


def test_a_bounding_set_with_a_hole() -> None:
    """A container host may lack one, and a runtime refuses to grant it then."""
    status = STATUS.format(permitted=ALL, bounding=WITHOUT_SYS_RESOURCE)
    missing = set(capabilities.CAPABILITIES) - capabilities.own_capabilities(status)
    assert missing == {"CAP_SYS_RESOURCE"}


def test_capabilities_of_a_newer_kernel() -> None:
    """Those that have no name here are not granted."""
    everything = "ffffffffffffffff"
    status = STATUS.format(permitted=everything, bounding=everything)
    assert capabilities.own_capabilities(status) == set(capabilities.CAPABILITIES)


def test_capabilities_have_their_numbers() -> None:
    """A few whose place in linux/capability.h is well known."""
    places = {"CAP_CHOWN": 0, "CAP_NET_ADMIN": 12, "CAP_SYS_ADMIN": 21, "CAP_SETFCAP": 31}
    assert {name: capabilities.CAPABILITIES.index(name) for name in places} == places
    assert len(capabilities.CAPABILITIES) == 41


def test_grantable_leaves_out_what_is_dropped() -> None:
    """In the order of their numbers, and never more than this process has."""
    own = capabilities.own_capabilities(Path("/proc/self/status").read_text("ascii"))
    granted = capabilities.grantable(frozenset({"CAP_SYS_TIME"}))
    assert granted == [
        name for name in capabilities.CAPABILITIES if name in own - {"CAP_SYS_TIME"}
    ]


def servers(tmp_path: Path, *contents: bytes | None) -> list[str]:
    """Return the name servers that files of such content tell."""
    paths = []
    for number, content in enumerate(contents):
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}-{number}"
        paths.append(str(path))
        if content is not None:
            path.write_bytes(content)
    return name_servers.name_servers(paths)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"nameserver 192.0.2.1\nnameserver 192.0.2.2\n", ["192.0.2.1", "192.0.2.2"]),
        (b"# nameserver 192.0.2.9\nsearch x\nnameserver\t192.0.2.1 # a\n", ["192.0.2.1"]),
        (b"nameserver 127.0.0.53\nnameserver 192.0.2.1", ["192.0.2.1"]),
        (b"nameserver ::1\nnameserver\nnameserver x.example\n", []),
        (b"", []),
    ],
)
def test_name_servers(tmp_path: Path, content: bytes, expected: list[str]) -> None:
    """Those on loopback serve the host alone."""
    assert servers(tmp_path, content) == expected


def test_name_servers_behind_a_local_one(tmp_path: Path) -> None:
    """Where the first file names only a local one, the next is asked."""
    local, real = b"nameserver 127.0.0.53\n", b"nameserver 192.0.2.1\n"
    assert servers(tmp_path, local, real) == ["192.0.2.1"]
    assert servers(tmp_path, None, real) == ["192.0.2.1"]
    assert servers(tmp_path, real, b"nameserver 192.0.2.9\n") == ["192.0.2.1"]
    assert servers(tmp_path, None, None) == []


def test_name_servers_that_no_vm_reaches(tmp_path: Path) -> None:
    """The VM network has no IPv6, so an IPv6 server would only cost a VM time."""
    content = b"nameserver 2001:db8::1\nnameserver fe80::1%eth0\nnameserver 192.0.2.1\n"
    assert servers(tmp_path, content) == ["192.0.2.1"]


def test_a_comment_in_another_encoding(tmp_path: Path) -> None:
    """It is no reason not to start."""
    assert servers(tmp_path, b"# caf\xe9\nnameserver 192.0.2.1\n") == ["192.0.2.1"]


@pytest.mark.parametrize("name", ["no-such-runtime", "/no/such/runtime", "a file"])
def test_a_runtime_that_is_not_there(tmp_path: Path, name: str) -> None:
    """The error names the key and what is accepted."""
    if name == "a file":
        name = str(tmp_path / "file")
        Path(name).touch(mode=0o644)
    with pytest.raises(checks.HostUnfit, match=f"^runtime: {name} .*runc"):
        checks.find_runtime(name)


def test_a_runtime_by_path(tmp_path: Path) -> None:
    """Any program will do; whether it is a runtime shows later."""
    program = tmp_path / "crun"
    program.touch(mode=0o755)
    assert checks.find_runtime(str(program)) == str(program)


def test_a_missing_program_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each that the daemon calls is looked for before it serves."""
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(checks.HostUnfit, match="^tar is not on the PATH"):
        checks.check_programs()


def test_root_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Anybody else is told so in one line."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(checks.HostUnfit, match="^must run as root"):
        checks.check_root()


def test_where_processes_can_be_bounded(tmp_path: Path) -> None:
    """The controller is a hierarchy of v1, or among those of v2."""
    assert not resource_limits.pids_accounting(tmp_path)
    (tmp_path / "cgroup.controllers").write_text("cpu rapids\n")
    assert not resource_limits.pids_accounting(tmp_path)
    (tmp_path / "cgroup.controllers").write_text("cpu pids\n")
    assert resource_limits.pids_accounting(tmp_path)
    (tmp_path / "cgroup.controllers").unlink()
    (tmp_path / "pids").mkdir()
    assert resource_limits.pids_accounting(tmp_path)
