"""The command line of C{runc-cpictl}, and how it finds the daemon."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from runc_cpi.ctl.operator import Operator
from runc_cpi.ctl.target import of_daemon
from runc_cpi.ctl.tool import COMMANDS
from runc_cpi.ctl.tool import tool as root
from runc_cpi.daemon.config import DaemonConfig
from tests.contract import bad_configs
from tests.contract.cases import Case, ids
from tests.harness.certificates import Authority
from tests.unit.ctl.invoking import Tool

AUTHORITY = Authority()
VM_CID = "vm-01234567-89ab-cdef-0123-456789abcdef"
TLS = {"certificate": "/c", "private_key": "/k", "ca": "/ca"}
NO_CERTIFICATE = "there is no operator.crt"


def written(path: Path, config: Any) -> Path:
    """Write a configuration."""
    path.write_text(config if isinstance(config, str) else json.dumps(config))
    return path


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
def test_where_the_daemon_is(config: Any, expected: Any) -> None:
    """The tool calls where the daemon listens, and this host if that is everywhere."""
    cpi = of_daemon(DaemonConfig.parse(config))
    assert (cpi.network_type, cpi.address, cpi.tls) == (*expected, None)


def test_as_the_operator(tmp_path: Path) -> None:
    """With TLS the tool uses operator.crt, which is beside the daemon's certificate."""
    raw = {"network_type": "tcp", "address": "0.0.0.0:80", "tls": str(tmp_path)}
    daemon = DaemonConfig.parse(raw)
    with pytest.raises(click.UsageError, match=NO_CERTIFICATE):
        of_daemon(daemon)
    (tmp_path / "operator.crt").touch()
    found = of_daemon(daemon)
    assert found.address == "127.0.0.1:80"
    assert found.tls == {
        "ca": f"{tmp_path}/ca.crt",
        "certificate": f"{tmp_path}/operator.crt",
        "private_key": f"{tmp_path}/operator.key",
    }
    inline = {"network_type": "tcp", "tls": {**TLS, "certificate": AUTHORITY.pem}}
    with pytest.raises(click.UsageError, match="give --cpi"):
        of_daemon(DaemonConfig.parse(inline))


def test_what_needs_no_connection(tmp_path: Path, tool: Tool) -> None:
    """C{console} reads the VM's file, however the daemon would be reached."""
    config = {"network_type": "tcp", "tls": TLS, "work_dir": str(tmp_path)}
    daemon = written(tmp_path / "config.yml", config)
    assert NO_CERTIFICATE in tool.refusal("--config", daemon, "vms")
    outcome = tool("--config", daemon, "vm", "console", VM_CID)
    path = f"{tmp_path}/vms/{VM_CID}/console.log"
    assert outcome == (1, "", f"runc-cpictl: {path}: No such file or directory\n")


@pytest.mark.parametrize("case", bad_configs.DAEMON, ids=ids(bad_configs.DAEMON))
def test_a_configuration_that_is_no_good(tmp_path: Path, case: Case) -> None:
    """A configuration that the daemon refuses is refused here with the same message."""
    path = tmp_path / "config.yml"
    path.write_bytes(case.given if isinstance(case.given, bytes) else case.given.encode())
    operator = Operator()
    operator.config_file = str(path)
    with pytest.raises(click.UsageError) as caught:
        operator.ask("Ping")
    assert re.match(f"{re.escape(str(path))}: {case.message}", str(caught.value))


@pytest.mark.parametrize("text", ["{ broken", '{"address": 5}'])
def test_a_cpis_configuration_that_is_no_good(
    tmp_path: Path, tool: Tool, text: str
) -> None:
    """A message about a CPI's configuration names that file, and not the daemon's."""
    cpi = written(tmp_path / "cpi.json", text)
    daemon = written(tmp_path / "config.yml", {})
    refusal = tool.refusal("--config", daemon, "--cpi", cpi, "ping")
    assert str(cpi) in refusal
    assert "config.yml" not in refusal


@pytest.mark.parametrize("name", ["ca", "certificate", "private_key"])
@pytest.mark.parametrize(
    "value", ["/no/such", "/dev/null", "-----BEGIN CERTIFICATE-----\n"]
)
def test_certificates_that_are_no_good(
    tmp_path: Path, tool: Tool, name: str, value: str
) -> None:
    """A CA, certificate or key that cannot be used is reported in one line."""
    tls = {**AUTHORITY.issue("director"), name: value}
    keys = {"network_type": "tcp", "address": "127.0.0.1:9", "tls": tls}
    cpi = written(tmp_path / "cpi.json", {**keys, "connect_timeout": 0})
    outcome = tool("--cpi", cpi, "ping")
    assert outcome.status in (1, 3), outcome
    line, *_ = outcome.stderr.splitlines()
    assert line.startswith("runc-cpictl: ")


def test_a_daemon_that_is_not_there(tmp_path: Path, tool: Tool) -> None:
    """A daemon that cannot be reached has an exit status of its own."""
    config = written(tmp_path / "config.yml", {"address": f"{tmp_path}/none"})
    outcome = tool("--config", config, "vms")
    message = f"cannot reach runc-cpid at {tmp_path}/none (unix): No such file or directory"
    *_, remedy = outcome.stderr.splitlines()
    assert outcome == (3, "", f"runc-cpictl: {message}\n{remedy}\n")
    is_root = os.geteuid() == 0
    assert ("systemctl start runc-cpid" if is_root else "as root") in remedy


def test_a_configuration_that_is_missing(tmp_path: Path, tool: Tool) -> None:
    """A configuration file that --config names must be there."""
    assert "No such file" in tool.refusal("--config", tmp_path / "none", "ping")


@pytest.mark.parametrize(
    "arguments",
    [
        ["frobnicate"],
        ["vms", "x"],
        ["vm", "frobnicate"],
        ["vm", "console"],
        ["vm", "show"],
        ["vm", "show", "../../etc"],
        ["vm", "logs", "../../etc"],
        ["vm", "logs", "--lines", "-1", VM_CID],
        ["vm", "stop", "vm-1"],
        ["vm", "start"],
        ["vms", "--sort", "colour"],
        ["vms", "--watch=0"],
        ["stemcell", "upload", "/no/such/file"],
        ["network", "show"],
        ["config", "frobnicate"],
        ["vm", "exec"],
        ["vm", "exec", VM_CID],
        ["vm", "exec", VM_CID, "--"],
        ["vm", "exec", "vm-1", "ls"],
        ["vm", "exec", "../../etc", "ls"],
        ["vm", "shell", VM_CID + "/.."],
        ["vm", "shell", VM_CID, "ls"],
        ["vm", "console", "-x"],
        ["vm", "delete"],
        ["disk", "delete", "--yes"],
        ["stemcell", "delete", "--jason", "stemcell-1"],
        ["vm", "console", VM_CID, "ls"],
        ["vm", "console", "../../etc"],
        ["vm", "console", "--lines", "-1", VM_CID],
        ["vm", "console", "--lines", "all", VM_CID],
        ["disk", "resize"],
        ["disk", "resize", "disk-1"],
        ["disk", "resize", "disk-1", "x"],
        ["disk", "resize", "disk-1", "--", "-5"],
        ["disk", "resize", "disk-1", "1.5"],
        ["--output", "xml", "vms"],
        ["vms", "--output", "xml"],
        ["completion", "tcsh"],
    ],
    ids=" ".join,
)
def test_bad_command_lines(tool: Tool, arguments: list[str]) -> None:
    """A bad command line ends with status 2 and a hint, before the daemon is asked."""
    lines = tool.refusal(*arguments).splitlines()
    assert lines[0].startswith("runc-cpictl: ")
    assert re.fullmatch(r"Try runc-cpictl [a-z ]*--help\.", lines[-1])


@pytest.mark.parametrize("arguments", [[], ["vm"]], ids=["nothing", "vm"])
def test_half_a_command_line(tool: Tool, arguments: list[str]) -> None:
    """Without a command the tool says which there are, and ends with status 2."""
    assert "\nCommands:\n" in tool.refusal(*arguments)


@pytest.mark.parametrize("name", COMMANDS)
def test_help(tool: Tool, name: str) -> None:
    """Each command is named in the help of all, and has a help of its own."""
    assert f"\n  {name} " in tool("--help").stdout
    outcome = tool(name, "-h")
    assert (outcome.status, outcome.stderr) == (0, "")
    assert outcome.stdout.startswith(f"Usage: runc-cpictl {name} ")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(tool: Tool, monkeypatch: pytest.MonkeyPatch, shell: str) -> None:
    """What C{completion} prints has the shell ask the tool for commands and options."""
    script = tool("completion", shell).stdout
    (variable,) = set(re.findall(r"_RUNC_CPICTL_\w+", script))
    monkeypatch.setenv(variable, "bash_complete")
    monkeypatch.setenv("COMP_WORDS", "runc-cpictl vm de")
    monkeypatch.setenv("COMP_CWORD", "2")
    assert tool().stdout == "plain,delete\n"


def test_completion_of_ids(
    tmp_path: Path, tool: Tool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ids of VMs are completed by what is on this host, if that can be seen."""
    config = written(tmp_path / "config.yml", {"work_dir": str(tmp_path)})
    (tmp_path / "vms" / VM_CID).mkdir(parents=True)
    monkeypatch.setenv("_RUNC_CPICTL_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_CWORD", "5")
    for path, expected in ((config, f"plain,{VM_CID}\n"), ("/no/such", "\n")):
        monkeypatch.setenv("COMP_WORDS", f"runc-cpictl --config {path} vm logs vm-0")
        assert tool().stdout == expected


def test_what_a_start_imports() -> None:
    """Neither Twisted nor rich nor cryptography is imported before it is needed."""
    code = (
        "import sys\n"
        "from runc_cpi.ctl.tool import tool\n"
        "tool(['--help'], standalone_mode=False)\n"
        "print(*sys.modules, file=sys.stderr)"
    )
    outcome = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        env={**os.environ, "COLUMNS": "80"},
    )
    loaded = set(outcome.stderr.split())
    assert not loaded & {"twisted", "rich", "cryptography", "yaml", "ssl"}


def test_yaml(capsys: pytest.CaptureFixture[str]) -> None:
    """An answer in YAML is what it is in JSON."""
    operator, answer = Operator(), {"vms": [{"vm_cid": "vm-1", "x": "\x1b[0m"}]}
    for operator.output, read in (("yaml", yaml.safe_load), ("json", json.loads)):
        operator.show(answer, lambda: pytest.fail("it is no table"))
        printed = capsys.readouterr().out
        assert read(printed) == answer
        assert "\x1b" not in printed


def test_all_commands_are_listed() -> None:
    """Each command of the list is in the module that the list says."""
    context = click.Context(root)
    for name in COMMANDS:
        command = root.get_command(context, name)
        assert command is not None
        assert command.name == name
    assert root.get_command(context, "none") is None
