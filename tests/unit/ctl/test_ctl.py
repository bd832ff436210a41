"""The command line of C{runc-cpictl}, how it finds the daemon, and its tables."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.testing import MemoryReactorClock
from twisted.python import usage

from runc_cpi.ctl import __main__ as ctl
from runc_cpi.ctl.__main__ import Options
from runc_cpi.ctl.command import table
from runc_cpi.ctl.daemon import Repair
from runc_cpi.ctl.disks import Disks
from runc_cpi.ctl.networks import Networks
from runc_cpi.ctl.stemcells import Stemcells
from runc_cpi.ctl.vms import VMs
from tests.contract import bad_configs
from tests.contract.cases import Case, ids
from tests.harness.certificates import Authority

AUTHORITY = Authority()
VM_CID = "vm-01234567-89ab-cdef-0123-456789abcdef"
TLS = {"certificate": "/c", "private_key": "/k", "ca": "/ca"}


def parse(tmp_path: Path, config: Any, *arguments: str) -> Options:
    """Parse a command line, with this configuration of the daemon."""
    path = tmp_path / "config.yml"
    path.write_text(config if isinstance(config, str) else json.dumps(config))
    options = Options()
    options.parseOptions(["--config", str(path), *arguments])
    return options


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({}, ("unix", "/run/runc-cpid/cpid.sock")),
        ({"address": "/run/x"}, ("unix", "/run/x")),
        ({"network_type": "tcp"}, ("tcp", "127.0.0.1:9999")),
        ({"network_type": "tcp", "address": "0.0.0.0:80"}, ("tcp", "127.0.0.1:80")),
        ({"network_type": "tcp", "address": "[::]:80"}, ("tcp", "[::1]:80")),
        ({"network_type": "tcp", "address": "192.0.2.1:8"}, ("tcp", "192.0.2.1:8")),
    ],
)
def test_where_the_daemon_is(tmp_path: Path, config: Any, expected: Any) -> None:
    """The tool calls where the daemon listens, and this host if that is everywhere."""
    cpi = parse(tmp_path, config, "ping").cpi
    assert (cpi.network_type, cpi.address, cpi.tls) == (*expected, None)


def test_as_a_cpi_does(tmp_path: Path) -> None:
    """With --cpi the tool uses the client certificate of a CPI's configuration."""
    cpi = tmp_path / "cpi.json"
    cpi.write_text(json.dumps({"network_type": "tcp", "address": "h:1", "tls": TLS}))
    daemon = {"network_type": "tcp", "tls": TLS}
    found = parse(tmp_path, daemon, "--cpi", str(cpi), "vms").cpi
    assert (found.address, found.tls) == ("h:1", TLS)
    with pytest.raises(usage.UsageError, match="give --cpi"):
        parse(tmp_path, daemon, "vms")
    # These need no connection.
    for command in ("console", "exec"):
        assert parse(tmp_path, daemon, command, VM_CID).subCommand == command


def test_as_the_operator(tmp_path: Path) -> None:
    """With TLS the tool uses operator.crt, which is beside the daemon's certificate."""
    daemon = {"network_type": "tcp", "address": "0.0.0.0:80", "tls": str(tmp_path)}
    with pytest.raises(usage.UsageError, match="there is no operator.crt"):
        parse(tmp_path, daemon, "vms")
    (tmp_path / "operator.crt").touch()
    found = parse(tmp_path, daemon, "vms").cpi
    assert found.address == "127.0.0.1:80"
    assert found.tls == {
        "ca": f"{tmp_path}/ca.crt",
        "certificate": f"{tmp_path}/operator.crt",
        "private_key": f"{tmp_path}/operator.key",
    }
    inline = {"network_type": "tcp", "tls": {**TLS, "certificate": AUTHORITY.pem}}
    with pytest.raises(usage.UsageError, match="give --cpi"):
        parse(tmp_path, inline, "vms")


@pytest.mark.parametrize("case", bad_configs.DAEMON, ids=ids(bad_configs.DAEMON))
def test_a_configuration_that_is_no_good(tmp_path: Path, case: Case) -> None:
    """A configuration that the daemon refuses is refused here with the same message."""
    path = tmp_path / "config.yml"
    path.write_bytes(case.given if isinstance(case.given, bytes) else case.given.encode())
    with pytest.raises(usage.UsageError) as caught:
        Options().parseOptions(["--config", str(path), "ping"])
    assert re.match(f"{re.escape(str(path))}: {case.message}", str(caught.value))


def test_a_cpis_configuration_that_is_no_good(tmp_path: Path) -> None:
    """A message about a CPI's configuration names that file, and not the daemon's."""
    cpi = tmp_path / "cpi.json"
    for text in ("{ broken", '{"address": 5}'):
        cpi.write_text(text)
        with pytest.raises(usage.UsageError) as caught:
            parse(tmp_path, {}, "--cpi", str(cpi), "ping")
        assert str(cpi) in str(caught.value)
        assert "config.yml" not in str(caught.value)


@pytest.mark.parametrize("name", ["ca", "certificate", "private_key"])
@pytest.mark.parametrize(
    "value", ["/no/such", "/dev/null", "-----BEGIN CERTIFICATE-----\n"]
)
def test_certificates_that_are_no_good(tmp_path: Path, name: str, value: str) -> None:
    """A CA, certificate or key that cannot be used is reported in one line."""
    tls = AUTHORITY.issue("director")
    cpi = tmp_path / "cpi.json"
    given = {"network_type": "tcp", "address": "127.0.0.1:9", "tls": {**tls, name: value}}
    cpi.write_text(json.dumps(given))
    options = parse(tmp_path, {}, "--cpi", str(cpi), "ping")
    asking = Deferred.fromCoroutine(ctl.ask(MemoryReactorClock(), options))
    failures: list[Any] = []
    asking.addErrback(failures.append)
    (failure,) = failures
    assert isinstance(failure.value, SystemExit), failure
    assert str(failure.value).startswith("runc-cpictl: ")
    assert "\n" not in str(failure.value)


def test_a_configuration_that_is_missing(tmp_path: Path) -> None:
    """A configuration file that --config names must be there."""
    options = Options()
    with pytest.raises(usage.UsageError, match="No such file"):
        options.parseOptions(["--config", str(tmp_path / "none"), "ping"])


@pytest.mark.parametrize(
    ("arguments", "values"),
    [
        (["console", VM_CID], {"vm_cid": VM_CID, "follow": 0, "lines": None}),
        (["console", "-f", "-n", "5", VM_CID], {"vm_cid": VM_CID, "follow": 1, "lines": 5}),
        (["exec", VM_CID], {"vm_cid": VM_CID, "argv": ()}),
        (["exec", VM_CID, "ls", "/"], {"vm_cid": VM_CID, "argv": ("ls", "/")}),
        (["exec", "--", VM_CID, "ls", "-l"], {"vm_cid": VM_CID, "argv": ("ls", "-l")}),
        (["resize-disk", "disk-1", "2048"], {"disk_cid": "disk-1", "size": 2048}),
    ],
)
def test_commands(tmp_path: Path, arguments: list[str], values: dict[str, Any]) -> None:
    """Options and arguments after a command belong to that command."""
    options = parse(tmp_path, {}, *arguments)
    assert options.subCommand == arguments[0]
    assert dict(options.subOptions) == values


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["frobnicate"],
        ["vms", "x"],
        ["console"],
        ["exec"],
        ["exec", "vm-1"],
        ["exec", "../../etc"],
        ["exec", VM_CID + "/.."],
        ["console", "-x"],
        ["delete-vm"],
        ["delete-disk", "--yes"],
        ["delete-stemcell", "--jason", "stemcell-1"],
        ["console", VM_CID, "ls"],
        ["console", "../../etc"],
        ["console", "--lines", "-1", VM_CID],
        ["console", "--lines", "all", VM_CID],
        ["resize-disk"],
        ["resize-disk", "disk-1"],
        ["resize-disk", "disk-1", "x"],
        ["resize-disk", "disk-1", "-5"],
        ["resize-disk", "disk-1", "1.5"],
        ["resize-disk", "disk-1", "\u0663"],
        ["--jason", "vms"],
    ],
    ids=lambda arguments: " ".join(arguments) or "nothing",
)
def test_bad_command_lines(tmp_path: Path, arguments: list[str]) -> None:
    """A bad command line raises UsageError before the daemon is asked."""
    with pytest.raises(usage.UsageError):
        parse(tmp_path, {}, *arguments)


def test_a_bad_command_line_ends_with_a_hint(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bad command line ends with two lines on stderr and status 1."""
    monkeypatch.setattr("sys.argv", ["runc-cpictl", "frobnicate"])
    with pytest.raises(SystemExit, match=r"^runc-cpictl: .*\nTry runc-cpictl --help\.$"):
        ctl.main()


def test_certs_need_no_daemon(tmp_path: Path) -> None:
    """C{certs} runs although the daemon's configuration cannot be read."""
    options = parse(tmp_path, "{ broken", "certs", "--host", "h", "d")
    assert options.subOptions["directory"] == "d"


def test_columns() -> None:
    """Columns are as wide as their cells, and lines have no blanks at their end."""
    assert table(("A", "LONG"), [("wide", "x"), ("", "")]) == "A     LONG\nwide  x\n"
    assert table(("A", "B"), []) == "A  B"


VM = {
    "vm_cid": "vm-1",
    "running": True,
    "addresses": ["10.0.0.2", "10.0.0.3"],
    "agent_id": "agent-1",
    "metadata": {},
}
DISK = {
    "disk_cid": "disk-1",
    "size": 1024,
    "driver": "image",
    "filesystem": "xfs",
    "attached_to": None,
    "metadata": {"job": "db", "index": 0},
}
NETWORK = {
    "network_cid": None,
    "name": "default",
    "cidr": "10.0.0.0/16",
    "gateway": "10.0.0.1",
    "bridge": "runc0",
    "addresses": {"10.0.0.2": "vm-1", "10.0.0.3": "vm-1"},
}
STEMCELL = {"stemcell_cid": "s-1", "features": {"init": None}, "cloud_properties": {}}


@pytest.mark.parametrize(
    ("rows", "thing", "line"),
    [
        (VMs.table, VM, "vm-1 running 10.0.0.2,10.0.0.3 agent-1"),
        (
            VMs.table,
            {**VM, "running": False, "metadata": {"name": "db/0"}},
            "vm-1 stopped 10.0.0.2,10.0.0.3 db/0",
        ),
        (Disks.table, DISK, "disk-1 1024 MiB xfs - job=db index=0"),
        (
            Disks.table,
            {**DISK, "driver": "directory", "attached_to": "vm-1", "metadata": {}},
            "disk-1 1024 MiB directory vm-1",
        ),
        (Stemcells.table, STEMCELL, "s-1 unknown"),
        (
            Stemcells.table,
            {
                **STEMCELL,
                "features": {"init": "runit"},
                "cloud_properties": {"name": "jammy", "version": 1.5},
            },
            "s-1 runit jammy 1.5",
        ),
        (Networks.table, NETWORK, "- default 10.0.0.0/16 10.0.0.1 runc0 2"),
        (
            Networks.table,
            {**NETWORK, "network_cid": "n-1", "name": None, "addresses": {}},
            "n-1 - 10.0.0.0/16 10.0.0.1 runc0 0",
        ),
    ],
)
def test_rows(rows: Any, thing: dict[str, Any], line: str) -> None:
    """VMs, disks, stemcells and networks are shown in one line each."""
    heading, shown = rows([thing]).splitlines()
    assert shown.split() == line.split()
    assert heading == heading.upper()


HOSTILE = "\x1b]52;c;eA==\x07\n\u202e\r\ud800"
SHOWN = r"\x1b]52;c;eA==\x07\n\u202e\r\ud800"


@pytest.mark.parametrize(
    ("rows", "thing"),
    [
        (VMs.table, {**VM, "metadata": {"name": HOSTILE}}),
        (VMs.table, {**VM, "agent_id": HOSTILE}),
        (Disks.table, {**DISK, "metadata": {HOSTILE: HOSTILE}}),
        (Stemcells.table, {**STEMCELL, "cloud_properties": {"name": HOSTILE}}),
        (Networks.table, {**NETWORK, "name": HOSTILE}),
    ],
)
def test_rows_that_are_not_to_be_trusted(rows: Any, thing: dict[str, Any]) -> None:
    """Control characters in a cell are spelled out; none makes a row of its own."""
    heading, shown = rows([thing]).splitlines()
    assert SHOWN in shown
    assert shown.isprintable()


def test_repairs_that_are_not_to_be_trusted() -> None:
    """Control characters in the names that a repair reports are spelled out."""
    lines = Repair().text({"done": [HOSTILE], "problems": [HOSTILE]}).split("\n")
    assert lines[:2] == [SHOWN, f"problem: {SHOWN}"]
