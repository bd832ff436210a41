"""The executable as a process: one JSON document and exit status 0, whatever happens."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from runc_cpi import wire
from runc_cpi.cpi import __main__, methods
from runc_cpi.cpi.request import REQUEST_LIMIT
from tests.contract.executables import (
    BARE,
    SCRIPT,
    WITHOUT_PRIVATE,
    config_text,
    end,
    judge,
    request,
    run,
    start,
)
from tests.contract.peers import served

FORMATS = ["warden-tar", "general-tar", "oci-light", "docker-light", "warden-light"]
INFO = {"api_version": 3, "stemcell_formats": FORMATS}
WAYS: dict[str, Any] = {
    "bare": BARE,
    "without private modules": WITHOUT_PRIVATE,
    "installed": [SCRIPT],
}
Configure = Callable[[str], str]


@pytest.fixture
def configure(tmp_path: Path) -> Configure:
    """Return a function that writes a configuration for a unix socket."""

    def write(address: str) -> str:
        path = tmp_path / "cpi.json"
        path.write_text(config_text(address, "unix"))
        return str(path)

    return write


@pytest.fixture
def nowhere(tmp_path: Path, configure: Configure) -> Iterator[str]:
    """A configuration without a daemon at its address."""
    return configure(str(tmp_path / "socket"))  # type: ignore[return-value]


@pytest.mark.parametrize("argv", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize(
    "config",
    [[], ["/no/such/file"], ["/"], ["a", "b"]],
    ids=["none", "missing", "dir", "two"],
)
def test_info_needs_nothing(argv: Any, config: list[str]) -> None:
    """info is answered without a daemon and without a configuration."""
    assert run(request("info"), *config, argv=argv).result == INFO


def test_info_with_a_broken_configuration(tmp_path: Path) -> None:
    """info does not read the configuration."""
    path = tmp_path / "cpi.yml"
    path.write_text("{ broken")
    assert run(request("info", api_version=2), str(path)).result == INFO


@pytest.mark.parametrize("argv", WAYS.values(), ids=WAYS)
def test_a_call(configure: Configure, argv: Any) -> None:
    """A call works with only a PATH in the environment."""

    def behave(connection: socket.socket) -> None:
        with connection.makefile("rb") as stream:
            box = wire.read_box(stream)
        assert box[b"_command"] == b"HasVM"
        assert (box[b"vm_cid"], box[b"request_id"]) == (b"vm-1", b"cpi-42")
        pairs = [(b"_answer", box[b"_ask"]), (b"exists", b"True")]
        connection.sendall(wire.encode_box(pairs))

    context = {"director_uuid": "x", "request_id": "cpi-42"}
    with served(behave) as path:
        raw = request("has_vm", "vm-1", context=context, api_version=2)
        response = run(raw, configure(path), argv=argv)
    assert response.result is True
    assert response.error is None


BAD_INPUT = {
    "nothing": b"",
    "blanks": b" \n\t ",
    "no JSON": b"{ method: info }",
    "half a request": b'{"method": "info"',
    "two requests": b'{"method": "info"}{"method": "info"}',
    "a list": b"[]",
    "null": b"null",
    "deep lists": b"[" * 100_000,
    "deep objects": b'{"a":' * 100_000,
    "deep and whole": b"[" * 900 + b"]" * 900,
    "a huge number": b'{"method": "ping", "api_version": ' + b"9" * 5000 + b"}",
    "a large number": b'{"method": "ping", "api_version": ' + b"9" * 4000 + b"}",
    "NaN": b'{"method": "ping", "api_version": NaN}',
    "infinity": b'{"method": "ping", "api_version": 1e999}',
    "a surrogate": b'{"method": "\\ud800"}',
    "an encoded surrogate": b'{"method": "\xed\xa0\x80"}',
    "invalid UTF-8": b'{"method": "\xff\xfe\xfd"}',
    "NULs": b"\0" * 64,
    "a NUL": b'{"method": "in\\u0000fo"}',
    "UTF-16 cut short": '{"method": "info"}'.encode("utf-16")[:-1],
    "too much": b" " * (REQUEST_LIMIT + 1),
    "binary": bytes(range(256)) * 20,
}


@pytest.mark.parametrize("name", BAD_INPUT)
def test_bad_input(nowhere: str, name: str) -> None:
    """Bad input is the caller's error, or that of an unknown version."""
    response = run(BAD_INPUT[name], nowhere)
    assert run(BAD_INPUT[name], nowhere, argv=WITHOUT_PRIVATE) == response
    assert response.type in ("CpiError", "NotSupported", "NotImplemented")
    assert "internal error" not in response.message


@pytest.mark.parametrize("depth", range(900, 1000, 9))
def test_nesting_around_what_can_be_parsed(nowhere: str, depth: int) -> None:
    """
    A request that is read but nests too deep to be written is refused, not taken for a bug.
    """
    metadata = b'{"a":' * depth + b"1" + b"}" * depth
    raw = b'{"method": "set_vm_metadata", "arguments": ["vm-1", ' + metadata + b"]}"
    response = run(raw, nowhere)
    assert response.type in ("CpiError", "CloudError")
    assert "internal error" not in response.message


@pytest.mark.parametrize("argv", WAYS.values(), ids=WAYS)
def test_a_large_response(configure: Configure, argv: Any) -> None:
    """A response larger than any buffer is whole, though the process ends at once."""
    disk_cids = [f"disk-{number:08}" for number in range(100_000)]

    def behave(connection: socket.socket) -> None:
        with connection.makefile("rb") as stream:
            box = wire.read_box(stream)
        pairs = wire.split(b"disk_cids", json.dumps(disk_cids).encode())
        connection.sendall(wire.encode_box([(b"_answer", box[b"_ask"]), *pairs]))

    with served(behave) as path:
        response = run(request("get_disks", "vm-1"), configure(path), argv=argv)
    assert response.result == disk_cids


@pytest.mark.parametrize("argv", WAYS.values(), ids=WAYS)
def test_a_response_that_cannot_be_written(argv: Any) -> None:
    """The status and stderr tell that nobody got the response."""
    with open("/dev/full", "wb") as full:
        outcome = subprocess.run(
            argv, input=request("info"), stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert outcome.returncode == 1
    told = b"runc-cpi: cannot write the response: [Errno 28] No space left on device\n"
    assert outcome.stderr == told


def test_stdin_is_closed(nowhere: str) -> None:
    """A closed stdin counts as an empty one."""
    process = start(nowhere, stdin=subprocess.DEVNULL)
    assert end(process).type == "CpiError"
    closing = f"exec 0<&-; exec {' '.join(map(_quoted, BARE))} {nowhere}"
    assert end(start(argv=["/bin/sh", "-c", closing])).type == "CpiError"


def _quoted(word: str) -> str:
    return "'" + word.replace("'", "'\\''") + "'"


def test_stdin_cannot_be_read(nowhere: str) -> None:
    """A stdin that cannot be read is an error: here it is open for writing only."""
    with open(os.devnull, "wb") as write_only:
        assert end(start(nowhere, stdin=write_only)).type == "CpiError"


def test_arguments_are_missing() -> None:
    """With no or too many arguments the error shows the usage."""
    for arguments in ([], ["a", "b"]):
        response = run(request("ping"), *arguments)
        assert response.type == "CpiError"
        assert response.message.startswith("usage: runc-cpi CONFIG")


def test_the_configuration_is_missing(tmp_path: Path) -> None:
    """The error for a missing configuration names the file."""
    for path in (tmp_path / "none.yml", tmp_path):
        response = run(request("ping"), str(path))
        assert response.type == "CpiError"
        assert str(path) in response.message


def test_the_configuration_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """
    The error for an unreadable configuration names it (faked, since root can read all).
    """
    path = str(tmp_path / "cpi.json")

    def refuse(*arguments: Any, **options: Any) -> Any:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr("builtins.open", refuse)
    response = in_process(monkeypatch, capsys, request("ping"), path)
    assert (response.type, path in response.message) == ("CpiError", True)


def test_the_daemon_is_down(tmp_path: Path, nowhere: str) -> None:
    """The error for a daemon that is down may be retried, and is never a missing method."""
    response = run(request("has_vm", "vm-1"), nowhere)
    assert response.type == "CloudError"
    assert response.error is not None
    assert response.error["ok_to_retry"] is True
    assert str(tmp_path / "socket") in response.message


@pytest.mark.parametrize(
    "answer",
    [b"", b"\0\0", b"\xff" * 70, b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\0\1a\0\0\0\0"],
    ids=["nothing", "an empty box", "noise", "HTTP", "a box of something"],
)
@pytest.mark.parametrize(
    ("method", "arguments"),
    [("has_vm", ["vm-1"]), ("create_vm", ["a", "s", {}, {"n": {}}, [], {}])],
)
def test_the_daemon_is_no_daemon(
    configure: Configure, answer: bytes, method: str, arguments: list[Any]
) -> None:
    """Any answer of another server is an error of the host."""

    def behave(connection: socket.socket) -> None:
        with connection.makefile("rb") as stream:
            wire.read_box(stream)
        connection.sendall(answer)

    with served(behave) as path:
        response = run(request(method, *arguments), configure(path))
    # What ends the connection could pass: create_vm is worth another try then.
    assert response.type in ("CloudError", "VMCreationFailed")


def test_an_interrupt_while_the_daemon_works(configure: Configure) -> None:
    """Ctrl-C while the daemon works ends the call with a response."""
    process: subprocess.Popen[bytes]

    def behave(connection: socket.socket) -> None:
        with connection.makefile("rb") as stream:
            wire.read_box(stream)
            process.send_signal(signal.SIGINT)
            assert stream.read() == b""

    with served(behave) as path:
        process = start(configure(path), stdin=subprocess.PIPE)
        response = end(process, request("ping"))
    assert "interrupted" in response.message


class Interrupted(io.RawIOBase):
    """A stdin that is interrupted while it is read."""

    def read(self, size: int = -1) -> bytes:
        """Raise KeyboardInterrupt."""
        raise KeyboardInterrupt


def test_an_interrupt_while_the_request_is_read(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ctrl-C while the request is read ends the call with a response."""
    try:
        response = in_process(monkeypatch, capsys, Interrupted(), "/nowhere")
    except KeyboardInterrupt:
        pytest.fail("it ended without a response")
    assert "interrupted" in response.message


def test_a_bug_is_an_answer(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A bug ends in a response, since a traceback on stdout would be none."""

    def fail(*arguments: Any) -> Any:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(__main__.Call, "_carry_out", fail)
    response = in_process(monkeypatch, capsys, request("ping"), "/nowhere")
    assert response.type == "CpiError"
    assert response.message == "internal error: ZeroDivisionError; the log tells where"
    first, *places = response.log.splitlines()
    assert first == "ZeroDivisionError, raised in"
    assert places[0].startswith("  runc_cpi/cpi/__main__.py:")
    assert places[-1].endswith(" in fail")


def test_a_bug_tells_no_secret(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], nowhere: str
) -> None:
    """The text of a bug's error may be an argument, so it is told nowhere."""

    def fail(asked: Any, *arguments: Any) -> Any:
        raise KeyError(asked.arguments[-1]["bosh"]["password"])

    monkeypatch.setattr(methods, "call", fail)
    raw = request("create_vm", "a", "s", {}, {}, [], {"bosh": {"password": "s3cr3t"}})
    response = in_process(monkeypatch, capsys, raw, nowhere)
    assert response.message == "internal error: KeyError; the log tells where"
    line, *trace = response.log.splitlines()
    assert re.fullmatch(r"create_vm failed after \d+ ms", line)
    assert trace[0] == "KeyError, raised in"
    assert "s3cr3t" not in f"{response}"


def test_the_log_of_a_call(configure: Configure) -> None:
    """The log names the call, what it is about and made, and the daemon's warnings."""
    warnings = '["cloud_properties zone mean nothing to this CPI"]'

    def behave(connection: socket.socket) -> None:
        with connection.makefile("rb") as stream:
            box = wire.read_box(stream)
        pairs = [(b"_answer", box[b"_ask"]), (b"vm_cid", b"vm-1"), (b"networks", b"{}")]
        pairs.append((b"warnings", warnings.encode()))
        connection.sendall(wire.encode_box(pairs))

    raw = request("create_vm", "a", "stemcell-\n1", {}, {}, [], {}, api_version=2)
    with served(behave) as path:
        line, *more = run(raw, configure(path)).log.splitlines()
    cids = r"stemcell_cid 'stemcell-\\n1', vm_cid vm-1"
    assert re.fullmatch(rf"create_vm took \d+ ms: {cids}", line)
    assert more == ["warning: cloud_properties zone mean nothing to this CPI"]


def test_the_log_of_a_failure(configure: Configure) -> None:
    """The log of a call in which the daemon has a fault tells where that is."""

    def behave(connection: socket.socket) -> None:
        with connection.makefile("rb") as stream:
            box = wire.read_box(stream)
        told = b"internal error in DeleteVM\nKeyError, raised in\n  runc_cpi/a.py:1 in f"
        pairs = [(b"_error", box[b"_ask"]), (b"_error_code", b"InternalError")]
        pairs.append((b"_error_description", told))
        connection.sendall(wire.encode_box(pairs))

    with served(behave) as path:
        response = run(request("delete_vm", "vm-1"), configure(path))
    assert response.message == "internal error in DeleteVM"
    line, *trace = response.log.splitlines()
    assert re.fullmatch(r"delete_vm failed after \d+ ms: vm_cid vm-1", line)
    assert trace == ["KeyError, raised in", "  runc_cpi/a.py:1 in f"]


@pytest.mark.parametrize("raw", [request("info"), b"{", request("no_such_method")])
def test_no_log(nowhere: str, raw: bytes) -> None:
    """info, which comes before each call, and what is no call, need no line."""
    assert run(raw, nowhere).log == ""


def in_process(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    stdin: bytes | io.RawIOBase,
    *arguments: str,
) -> Any:
    """Run the executable's main function here."""
    source = io.BytesIO(stdin) if isinstance(stdin, bytes) else stdin
    monkeypatch.setattr(sys, "stdin", _Stdin(source))
    monkeypatch.setattr(sys, "argv", ["runc-cpi", *arguments])
    try:
        __main__.run()
    finally:
        monkeypatch.undo()
    return judge(capsys.readouterr().out)


class _Stdin:
    def __init__(self, buffer: Any) -> None:
        self.buffer = buffer
