"""Who can open which files, and where no secret may be."""

from __future__ import annotations

import grp
import json
import os
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from runc_cpi.ctl.__main__ import FAILED, MISUSED, UNREACHABLE
from tests.functional.security.peers import control, cpi, cpi_config
from tests.harness.cpi import CPI
from tests.harness.daemon import Daemon
from tests.harness.lab import NewDaemon
from tests.harness.removals import removing
from tests.harness.waiting import eventually

SECRETS = {
    name: f"hunter2-{name}-s3cr3t" for name in ("mbus", "blob", "env", "key", "meta")
}
AGENT = {
    "mbus": f"nats://nats:{SECRETS['mbus']}@192.0.2.9:4222",
    "blobstore": {"provider": "dav", "options": {"password": SECRETS["blob"]}},
}
ENV = {
    "bosh": {
        "password": SECRETS["env"],
        "mbus": {"cert": {"private_key": SECRETS["key"], "ca": "x"}},
        "mbus_url": f"nats://u:{SECRETS['mbus']}@192.0.2.9:4222",
    }
}


def shown(data: bytes) -> list[str]:
    """Return the names of the secrets that some bytes contain."""
    return [name for name, secret in SECRETS.items() if secret.encode() in data]


@contextmanager
def watched() -> Iterator[set[str]]:
    """Read the command lines and environments of all processes for a while."""
    seen: set[str] = set()
    over = threading.Event()

    def watch() -> None:
        while not over.is_set():
            for pid in filter(str.isdigit, os.listdir("/proc")):
                for name in ("cmdline", "environ"):
                    try:
                        data = Path("/proc", pid, name).read_bytes()
                    except OSError:
                        continue
                    if shown(data):
                        seen.add(f"{name}: {data[:200]!r}")
            over.wait(0.005)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()


@pytest.mark.parametrize("network_type", ["unix", "tcp"])
@pytest.mark.parametrize("log_format", ["text", "json"])
def test_secrets(
    new_daemon: NewDaemon, tiny: Path, network_type: str, log_format: str
) -> None:
    """Secrets are in files that only root can open, and in no log, argument or message."""
    daemon = new_daemon(network_type=network_type, config={"log_format": log_format})
    umask = os.umask(0)
    try:
        daemon.start()
    finally:
        os.umask(umask)
    daemon.cpi = CPI(cpi_config(daemon, agent=AGENT))
    with watched() as seen:
        stemcell = daemon.create_stemcell(tiny)
        vm = daemon.create_vm(stemcell, env=ENV)
        disk = daemon.cpi.ok("create_disk", 16, {}, vm.cid)
        daemon.cpi.ok("attach_disk", vm.cid, disk, version=1)
        daemon.cpi.ok("set_vm_metadata", vm.cid, {"job": SECRETS["meta"]})
        check_tree(daemon)
        daemon.cpi.ok("reboot_vm", vm.cid)
        daemon.cpi.ok("detach_disk", vm.cid, disk)
        check_tree(daemon)
        daemon.cpi.ok("delete_vm", vm.cid)
        daemon.cpi.ok("delete_disk", disk)
    eventually(lambda: removing(daemon) == 0, "what was deleted is removed")
    assert not seen
    assert not shown(daemon.log.encode() + daemon.stderr.encode())
    assert stat.S_IMODE(daemon.work_dir.stat().st_mode) & 0o022 == 0
    held = [path for path in daemon.work_dir.rglob("*") if path.is_file()]
    assert not [path for path in held if shown(path.read_bytes())]


def check_tree(daemon: Daemon) -> None:
    """Check who can open what in the working directory."""
    for directory in daemon.work_dir.iterdir():
        if directory.is_dir():
            assert stat.S_IMODE(directory.stat().st_mode) == 0o700, directory
            for inner in directory.iterdir():
                if inner.is_dir() and not inner.is_symlink():
                    mode = stat.S_IMODE(inner.stat().st_mode)
                    assert mode & 0o077 == 0 or directory.name == "runtime", inner
    found: set[str] = set()
    for path in daemon.work_dir.rglob("*"):
        if not path.is_symlink() and path.is_file() and path.stat().st_size < 1 << 20:
            held = shown(path.read_bytes())
            found.update(held)
            if held:
                assert stat.S_IMODE(path.stat().st_mode) == 0o600, (path, held)
                assert path.stat().st_uid == 0
    assert found == set(SECRETS), "the search itself works"


BAD_CALLS: dict[str, list[object]] = {
    "env is no object": ["a", "stemcell-x", {}, {}, [], SECRETS["env"]],
    "no such stemcell": ["a", "stemcell-x", {}, {"n": {"type": "dynamic"}}, [], ENV],
    "networks": ["a", "stemcell-x", {}, {}, [], ENV],
    "properties": ["a", "stemcell-x", {"cpu": "x"}, {}, [], ENV],
    "disks": ["a", "stemcell-x", {}, {}, 7, ENV],
    "too many": ["a", "stemcell-x", {}, {}, [], ENV, ENV],
}


@pytest.mark.parametrize("name", BAD_CALLS)
def test_errors_of_calls(daemon: Daemon, name: str) -> None:
    """Errors of calls say what is wrong, and contain no secret."""
    daemon.cpi = CPI(cpi_config(daemon, agent=AGENT))
    error = daemon.cpi.error("create_vm", *BAD_CALLS[name])
    assert not shown(json.dumps(error).encode())
    assert not shown(daemon.log.encode())


BAD_CONFIGS = {
    "unknown key": json.dumps({"agent": {**AGENT, "extra": SECRETS["mbus"]}}),
    "mbus is a list": json.dumps({"agent": {"mbus": [SECRETS["mbus"]]}}),
    "agent is a text": json.dumps({"agent": SECRETS["mbus"]}),
    "options are a text": json.dumps(
        {"agent": {"blobstore": {"options": SECRETS["blob"]}}}
    ),
    "quote left open": f'agent:\n  mbus: "nats://nats:{SECRETS["mbus"]}@h:4222\n',
    "tab": f"agent:\n\tmbus: {SECRETS['mbus']}\n",
    "colon": f"agent:\n  mbus: nats: //nats:{SECRETS['mbus']}@h\n",
    "tag": f"agent:\n  mbus: !!timestamp {SECRETS['mbus']}\n",
    "unknown tag": f"agent:\n  mbus: !{SECRETS['mbus']} x\n",
    "alias": f"agent:\n  mbus: *{SECRETS['mbus']}\n",
    "tls is a text": json.dumps({"network_type": "tcp", "tls": SECRETS["key"]}),
    "key is a path": json.dumps(
        {
            "network_type": "tcp",
            "tls": {"ca": "x", "certificate": "x", "private_key": SECRETS["key"]},
        }
    ),
}


@pytest.mark.parametrize("name", BAD_CONFIGS)
def test_errors_of_configurations(new_daemon: NewDaemon, name: str) -> None:
    """The error for a bad CPI configuration, which needs no daemon, shows no line of it."""
    daemon = new_daemon()
    path = daemon.home / "mistaken.yml"
    path.write_text(BAD_CONFIGS[name])
    error = CPI(path).error("ping")
    assert not shown(json.dumps(error).encode()), error
    outcome = control(daemon.config_file, path, "ping")
    assert outcome.returncode in (FAILED, MISUSED, UNREACHABLE)
    assert not shown(outcome.stderr.encode()), outcome.stderr


def test_daemon_configuration_with_a_mistake(new_daemon: NewDaemon) -> None:
    """
    The error for a bad daemon configuration shows no line of it: it can hold a private key.
    """
    daemon = new_daemon()
    daemon.config_file.write_text(f'tls:\n  private_key: "{SECRETS["key"]}\n  ca: x\n')
    assert not shown(daemon.refusal().encode())


@pytest.mark.parametrize("mask", [0, 0o77])
def test_socket(new_daemon: NewDaemon, mask: int) -> None:
    """Only root can use the socket, whatever the umask."""
    daemon = new_daemon()
    umask = os.umask(mask)
    try:
        daemon.start()
    finally:
        os.umask(umask)
    found = daemon.socket.stat()
    assert stat.S_IMODE(found.st_mode) == 0o600
    assert (found.st_uid, found.st_gid) == (0, 0)


def test_socket_for_a_group(new_daemon: NewDaemon) -> None:
    """socket_mode and socket_group open the socket to a group, and to nobody else."""
    group = grp.getgrgid(65534)
    config = {"socket_mode": "0660", "socket_group": group.gr_name}
    daemon = new_daemon(config=config).start()
    daemon.home.chmod(0o755)
    found = daemon.socket.stat()
    assert stat.S_IMODE(found.st_mode) == 0o660
    assert (found.st_uid, found.st_gid) == (0, group.gr_gid)

    def reaches(gid: int) -> bool:
        pid = os.fork()
        if pid == 0:
            import socket

            os.setgroups([])
            os.setgid(gid)
            os.setuid(65534)
            probe = socket.socket(socket.AF_UNIX)
            os._exit(probe.connect_ex(str(daemon.socket)) != 0)
        return os.waitpid(pid, 0)[1] == 0

    assert reaches(group.gr_gid)
    assert not reaches(65533)


@pytest.mark.parametrize(
    ("keys", "named"),
    [
        ({"socket_mode": 432}, "socket_mode:"),
        ({"socket_mode": "0999"}, "socket_mode:"),
        ({"socket_mode": "04755"}, "socket_mode:"),
        ({"socket_group": "no-such-group"}, "socket_group: there is no group"),
        ({"allow_from": ["192.0.2.0/24"]}, "allow_from: goes with network_type tcp"),
        ({"tls": {}}, "tls"),
    ],
)
def test_bad_keys(new_daemon: NewDaemon, keys: dict[str, object], named: str) -> None:
    """A mistake in a key about access is told in one line."""
    assert named in new_daemon(config=keys).refusal()


def test_call_through_a_group(daemon: Daemon) -> None:
    """By default another user cannot connect, and is told so."""
    assert cpi(daemon).ok("ping") == "pong"
