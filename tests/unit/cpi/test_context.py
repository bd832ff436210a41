"""One Director with many hosts: the context of a call leads it to the right one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from runc_cpi.cpi import config
from runc_cpi.cpi.config import CPIConfig
from runc_cpi.cpi.request import Request
from runc_cpi.errors import InvalidArgument

FILE = {
    "network_type": "tcp",
    "address": "192.0.2.1:9999",
    "agent": {"mbus": "nats://192.0.2.9", "ntp": ["192.0.2.8"]},
}
TLS = {"ca": "/ca", "certificate": "/c", "private_key": "/k"}
DIRECTORS = {"director_uuid": "u", "request_id": "cpi-1", "vm": {"stemcell": {}}}


def loaded(tmp_path: Path, context: dict[str, Any], file: Any = FILE) -> CPIConfig:
    """Read a configuration for a call with this context."""
    path = tmp_path / "cpi.json"
    path.write_text(json.dumps(file))
    return config.load(str(path), context)


def test_a_context_without_properties(tmp_path: Path) -> None:
    """Fields of a context that are no keys of the configuration are ignored."""
    assert vars(loaded(tmp_path, DIRECTORS)) == vars(loaded(tmp_path, {}))


def test_properties_replace_the_files(tmp_path: Path) -> None:
    """A key in the context replaces the one in the file; the others stay."""
    context = {**DIRECTORS, "address": "192.0.2.2:9998", "tls": TLS, "connect_timeout": 9}
    found = loaded(tmp_path, context)
    assert (found.address, found.tls, found.connect_timeout) == ("192.0.2.2:9998", TLS, 9.0)
    assert (found.network_type, found.agent["mbus"]) == ("tcp", "nats://192.0.2.9")


def test_null_gives_nothing(tmp_path: Path) -> None:
    """
    A null in the context replaces nothing, as templates render it for what is not set.
    """
    context = dict.fromkeys(("network_type", "address", "tls", "agent", "connect_timeout"))
    assert vars(loaded(tmp_path, context)) == vars(loaded(tmp_path, {}))


def test_the_agents_part_is_merged(tmp_path: Path) -> None:
    """The keys of C{agent} are merged one by one, so a host may differ in one of them."""
    found = loaded(tmp_path, {"agent": {"ntp": ["198.51.100.1"]}})
    assert found.agent["ntp"] == ["198.51.100.1"]
    assert found.agent["mbus"] == "nats://192.0.2.9"


@pytest.mark.parametrize("file", [None, {}])
def test_the_file_may_be_empty(tmp_path: Path, file: Any) -> None:
    """All of the configuration can come with the context."""
    found = loaded(tmp_path, FILE, file)
    assert (found.address, found.agent["ntp"]) == ("192.0.2.1:9999", ["192.0.2.8"])


def test_a_file_that_is_wrong_stays_wrong(tmp_path: Path) -> None:
    """A malformed file is refused whatever the context has."""
    with pytest.raises(InvalidArgument, match="must hold keys and values"):
        loaded(tmp_path, FILE, ["a list"])


@pytest.mark.parametrize(
    ("context", "message"),
    [
        ({"network_type": "udp"}, "network_type: 'udp'"),
        ({"address": 5}, "address: 5"),
        ({"network_type": "unix"}, "address: .* as network_type is unix"),
        ({"tls": {"ca": "/ca"}}, "tls.certificate: must be PEM"),
        ({"agent": "x"}, "agent: must hold"),
        ({"agent": {"ntp": "x"}}, "agent.ntp: "),
        ({"connect_timeout": "9"}, "connect_timeout: '9'"),
    ],
)
def test_bad_properties(tmp_path: Path, context: dict[str, Any], message: str) -> None:
    """Keys in the context are checked as those in the file are."""
    with pytest.raises(InvalidArgument, match=f"^configuration .*: {message}"):
        loaded(tmp_path, context)


def test_the_file_is_not_changed(tmp_path: Path) -> None:
    """The context of a call does not change the file."""
    loaded(tmp_path, {"address": "192.0.2.2:1", "agent": {"mbus": "x"}})
    assert json.loads((tmp_path / "cpi.json").read_text()) == FILE


@pytest.mark.parametrize(
    ("version", "context", "told"),
    [
        (1, {}, False),
        (1, {"vm": {"stemcell": {"api_version": 3}}}, False),
        (2, {}, True),
        (2, {"vm": {"stemcell": {"api_version": 1}}}, False),
        (2, {"vm": {"stemcell": {"api_version": 2}}}, True),
        (3, {"vm": {"stemcell": {"api_version": 3}}}, True),
        (2, {"vm": None}, True),
        (2, {"vm": {"stemcell": "x"}}, True),
        (2, {"vm": {"stemcell": {"api_version": None}}}, True),
    ],
)
def test_who_tells_the_agent_of_disks(
    version: int, context: dict[str, Any], told: bool
) -> None:
    """The Director tells agents of disks unless contract or stemcell is of version 1."""
    assert Request("attach_disk", [], context, version).agent_is_told is told
