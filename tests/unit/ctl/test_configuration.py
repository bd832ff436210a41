"""C{runc-cpictl config}, and what goes without a daemon: C{version} and C{doctor}."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from runc_cpi.cpi import client, silence
from runc_cpi.daemon.config import load
from runc_cpi.daemon.storage.depot import Depot
from tests.harness.certificates import Authority
from tests.unit.ctl.invoking import Tool

AUTHORITY = Authority()
SERVER = AUTHORITY.issue("daemon")


def written(path: Path, **config: Any) -> Path:
    """Write a configuration."""
    path.write_text(json.dumps({"work_dir": str(path.parent / "w"), **config}))
    return path


CONFIGS: list[dict[str, Any]] = [
    {},
    {
        "socket_mode": "0660",
        "socket_group": "root",
        "restart": "on-failure",
        "vms": {"lxcfs": "off", "root_disk_size": 0},
        "security": {"ids": "65536-131071"},
    },
    {
        "network_type": "tcp",
        "address": "127.0.0.1:1",
        "allow_users": ["root"],
        "vip_addresses": ["192.0.2.10", "192.0.2.20-192.0.2.29"],
        "networks": [
            {
                "name": "a",
                "bridge": "a0",
                "cidr": "10.9.0.0/24",
                "reserved": ["10.9.0.7"],
                "dynamic": "10.9.0.64/26",
                "mtu": 1400,
            }
        ],
        "peers": [{"address": "192.0.2.5", "cidr": "10.8.0.0/24"}],
        "overlay": "vxlan",
    },
]


@pytest.mark.parametrize("config", CONFIGS, ids=["usual", "unix", "tcp"])
def test_a_configuration_is_shown_whole(
    tmp_path: Path, tool: Tool, config: dict[str, Any]
) -> None:
    """What is shown is a configuration that means the same, in YAML and in JSON."""
    path = written(tmp_path / "config.yml", **config)
    text = tool("--config", path, "config", "show").stdout
    again = tmp_path / "again.yml"
    again.write_text(text)
    assert load(again) == load(path)
    told = json.loads(tool("-c", path, "-o", "json", "config", "show").stdout)
    assert told == yaml.safe_load(text)


def test_no_key_is_shown(tmp_path: Path, tool: Tool) -> None:
    """A key that is in the configuration is not shown; the path of one is."""
    tls = AUTHORITY.issue("director")
    config = {"network_type": "tcp", "address": "127.0.0.1:1"}
    path = written(tmp_path / "config.yml", **config, tls=tls)
    text = tool("--config", path, "config", "show").stdout
    assert "PRIVATE KEY" not in text
    shown = yaml.safe_load(text)["tls"]
    assert shown["private_key"] == "(not shown)"
    assert shown["certificate"].strip() == tls["certificate"].strip()
    path = written(tmp_path / "config.yml", **config, tls="/etc/runc-cpid/certs")
    text = tool("--config", path, "config", "show").stdout
    assert "private_key: /etc/runc-cpid/certs/server.key" in text


def test_a_configuration_is_checked(tmp_path: Path, tool: Tool) -> None:
    """A configuration that is right is said to be, and a wrong one is a usage error."""
    good = written(tmp_path / "good.yml")
    bad = written(tmp_path / "bad.yml", colour="red")
    assert tool("config", "check", good).stdout == f"{good} is right\n"
    assert tool("--config", good, "config", "check").status == 0
    assert "colour" in tool.refusal("config", "check", bad)
    assert "No such file" in tool.refusal("config", "check", tmp_path / "none")


def test_without_a_daemon(tmp_path: Path, tool: Tool) -> None:
    """C{version} and C{doctor} need no daemon, and say that there is none."""
    config = written(tmp_path / "config.yml", address=str(tmp_path / "s"))
    told = json.loads(tool("--config", config, "-o", "json", "version").stdout)
    assert told["runc-cpid"].startswith("unknown: cannot reach")
    outcome = tool("--config", config, "--output=json", "doctor")
    found = {each["check"]: each for each in json.loads(outcome.stdout)["findings"]}
    assert found["daemon"]["state"] == "warning"
    assert "systemctl start runc-cpid" in found["daemon"]["advice"]
    assert outcome.status == ("fault" in {each["state"] for each in found.values()})
    assert found["address"]["seen"] == f"{tmp_path}/s is free"
    assert not (tmp_path / "w").exists()
    lines = tool("--config", config, "doctor").stdout.splitlines()
    assert lines[0].split() == ["STATE", "CHECK", "SEEN"]
    assert any(line.startswith("TO DO") for line in lines)


def findings(tool: Tool, config: Path) -> dict[str, Any]:
    """Return what the doctor finds, by what it looked at."""
    outcome = tool("--config", config, "--output=json", "doctor")
    found = {each["check"]: each for each in json.loads(outcome.stdout)["findings"]}
    assert outcome.status == ("fault" in {each["state"] for each in found.values()})
    return found


@pytest.fixture
def depot(tmp_path: Path) -> Iterator[Depot]:
    """A C{work_dir} that this process has as a daemon does."""
    depot = Depot(tmp_path / "w")
    depot.prepare()
    yield depot
    depot.release()


@pytest.mark.usefixtures("depot")
@pytest.mark.parametrize(
    ("config", "seen"),
    [
        (
            {"network_type": "tcp", "address": "127.0.0.1:1", "tls": SERVER},
            "there is no operator.crt",
        ),
        ({"address": "/nowhere"}, "cannot reach"),
    ],
    ids=["no certificate", "no answer"],
)
def test_a_daemon_that_refuses(
    tmp_path: Path, tool: Tool, config: dict[str, Any], seen: str
) -> None:
    """A daemon that runs, and cannot be asked, is none that is in the way."""
    found = findings(tool, written(tmp_path / "config.yml", **config))
    assert found["daemon"]["state"] == "warning"
    assert seen in found["daemon"]["seen"]
    assert f"it runs as {os.getpid()} (" in found["daemon"]["seen"]
    assert "need not be ended" in found["daemon"]["advice"]
    assert found["address"]["state"] == "ok"


@pytest.fixture
def silent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The configuration of a daemon that answers nobody."""
    monkeypatch.setattr(client, "SILENCE", 0.05)
    monkeypatch.setattr(silence, "PING_TIMEOUT", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as stopped:
        address = f"127.0.0.1:{stopped.getsockname()[1]}"
        yield written(tmp_path / "c.yml", network_type="tcp", address=address)


@pytest.mark.usefixtures("depot")
def test_a_daemon_that_is_silent(silent: Path, tool: Tool) -> None:
    """A daemon that runs, and answers nobody, is a fault, and is to be restarted."""
    found = findings(tool, silent)
    assert found["daemon"]["state"] == "fault"
    assert "did not answer a ping" in found["daemon"]["seen"]
    assert "restart it" in found["daemon"]["advice"]
    assert found["address"]["state"] == "ok"


def test_what_a_silent_daemon_needs(silent: Path, tool: Tool) -> None:
    """It is not to be started, nor called another way."""
    status, stdout, stderr = tool("--config", silent, "vms")
    message, remedy = stderr.splitlines()
    assert (status, stdout) == (3, "")
    assert "did not answer a ping" in message
    assert "systemctl restart runc-cpid" in remedy


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
def test_a_configuration_that_only_root_may_read(tmp_path: Path, tool: Tool) -> None:
    """To whom it is hidden, it is not called wrong."""
    config = written(tmp_path / "config.yml")
    config.chmod(0o600)
    os.seteuid(65534)
    try:
        found = findings(tool, config)
    finally:
        os.seteuid(0)
    assert found["configuration"]["state"] == "warning"
    assert f"you may not read {config}" in found["configuration"]["seen"]


def test_a_broken_configuration_is_a_finding(tmp_path: Path, tool: Tool) -> None:
    """What is wrong with the configuration is a fault, and the rest is looked at."""
    found = findings(tool, written(tmp_path / "config.yml", colour="red"))
    assert found["configuration"]["state"] == "fault"
    assert "colour" in found["configuration"]["seen"]
    assert "OCI runtime" in found
