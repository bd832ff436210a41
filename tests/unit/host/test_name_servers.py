"""The host's name servers, from files that others write."""

from __future__ import annotations

from pathlib import Path

import pytest

from runc_cpi.daemon.host import name_servers


def servers(tmp_path: Path, *contents: bytes | None) -> list[str]:
    """Return the name servers that files with such contents name."""
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
    """Only IPv4 name servers that are not on loopback are found."""
    assert servers(tmp_path, content) == expected


def test_name_servers_behind_a_local_one(tmp_path: Path) -> None:
    """A file that names only a local name server is passed over for the next one."""
    local, real = b"nameserver 127.0.0.53\n", b"nameserver 192.0.2.1\n"
    assert servers(tmp_path, local, real) == ["192.0.2.1"]
    assert servers(tmp_path, None, real) == ["192.0.2.1"]
    assert servers(tmp_path, real, b"nameserver 192.0.2.9\n") == ["192.0.2.1"]
    assert servers(tmp_path, None, None) == []


def test_name_servers_that_no_vm_reaches(tmp_path: Path) -> None:
    """An IPv6 name server is left out: the VM network has no IPv6."""
    content = b"nameserver 2001:db8::1\nnameserver fe80::1%eth0\nnameserver 192.0.2.1\n"
    assert servers(tmp_path, content) == ["192.0.2.1"]


def test_a_comment_in_another_encoding(tmp_path: Path) -> None:
    """A file that is not UTF-8 is read all the same."""
    assert servers(tmp_path, b"# caf\xe9\nnameserver 192.0.2.1\n") == ["192.0.2.1"]


def test_a_file_that_changes(tmp_path: Path) -> None:
    """The servers of programs of the host are those that the file names by now."""
    path = tmp_path / "resolv.conf"
    followed = name_servers.ResolvConf(str(path))
    assert list(followed.servers()) == []
    path.write_text(
        "nameserver 127.0.0.53\nnameserver fe80::1%eth0\nnameserver x.example\n"
    )
    assert list(followed.servers()) == ["127.0.0.53", "fe80::1%eth0"]
    path.write_text("".join(f"nameserver 192.0.2.{n}\n" for n in range(9)))
    assert list(followed.servers()) == ["192.0.2.0", "192.0.2.1", "192.0.2.2"]
    other = tmp_path / "other"
    other.write_text("nameserver 192.0.2.7\n")
    other.rename(path)
    assert list(followed.servers()) == ["192.0.2.7"]
    path.unlink()
    assert list(followed.servers()) == []
