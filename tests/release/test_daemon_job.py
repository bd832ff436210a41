"""The job that runs the daemon on a VM or host made by BOSH."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from runc_cpi.daemon.config import DaemonConfig
from tests.harness.daemon import Daemon
from tests.harness.lab import NewDaemon
from tests.harness.waiting import eventually
from tests.release import jobs, packages
from tests.release.callers import CLI

JOB = packages.RELEASE / "jobs" / "runc_cpid"
CONTROL = "/var/vcap/jobs/runc_cpid/bin/runc_cpid_ctl"
TLS = {"ca": "CA", "certificate": "C", "private_key": "K"}
# Every key, with another value than its default.
EVERYTHING: dict[str, Any] = {
    "work_dir": "/var/vcap/store/other",
    "network_type": "tcp",
    "address": "[::1]:1234",
    "cidr": "10.9.0.0/16",
    "gateway": "10.9.0.9",
    "bridge": "b",
    "dns_server": False,
    "nat": False,
    "allowed_networks": ["10.0.0.0/8"],
    "vip_addresses": ["192.0.2.64/28"],
    "peers": [{"address": "192.0.2.3", "cidr": ["10.7.0.0/16", "10.8.0.0/16"]}],
    "overlay": {"kind": "vxlan", "id": 7, "port": 4790},
    "runtime": "/bin/true",
    "runtime_timeout": 90,
    "visit_timeout": 45,
    "restart": "on-failure",
    "log_format": "json",
    "log_spans": True,
    "events": {"size": 64},
    "disks": {
        "driver": "directory",
        "filesystem": "xfs",
        "direct_io": False,
        "allocation": "full",
        "overcommit": 2,
    },
    "tls": {**TLS, "allowed_clients": ["director"], "viewing_clients": ["viewer"]},
    "allow_from": ["192.0.2.0/24"],
    "limits": {"connections": 7},
    "http": {"address": "192.0.2.1:9998", "tls": TLS, "allow_from": ["192.0.2.0/24"]},
    "security": {
        "profile": "privileged",
        "ids": "1879048192-1946157055",
        "anti_spoofing": False,
    },
    "vms": {"pids": 4096, "root_disk_size": 20480, "lxcfs": "auto"},
}
SOCKET = {
    "network_type": "unix",
    "address": "/run/s",
    "socket_mode": "0660",
    "socket_group": "root",
}
PLAIN = {"allow_users": ["root", 1000]}
# A stemcell has this group; the mount is in a private namespace.
_SCRIPT = """\
set -eu
{ cat /etc/group; echo vcap:x:1000:; } >"$1/group"
mount --bind "$1/group" /etc/group
mount -t tmpfs tmpfs /var
mkdir /var/vcap
mount --rbind "$1/vcap" /var/vcap
shift
exec env -i PATH=/bin:/usr/bin:/sbin:/usr/sbin "$@"
"""


def render(properties: dict[str, Any]) -> Any:
    """Return the rendered configuration of the daemon."""
    text = jobs.render(JOB / "templates" / "config.yml.erb", {"runc_cpid": properties})
    return json.loads(text)


def test_defaults() -> None:
    """Without properties the configuration is what a BOSH VM needs."""
    rendered = render({})
    parsed = DaemonConfig.parse(rendered)
    assert str(parsed.address) == "0.0.0.0:9999"
    assert str(parsed.work_dir) == "/var/vcap/store/runc_cpid"


def test_everything() -> None:
    """Each key of the daemon's configuration can be set, and keeps its meaning."""
    assert render(EVERYTHING) == EVERYTHING
    assert DaemonConfig.parse(render(EVERYTHING))
    assert {key: render(SOCKET)[key] for key in SOCKET} == SOCKET
    assert DaemonConfig.parse(render(SOCKET))
    assert render(PLAIN)["allow_users"] == PLAIN["allow_users"]
    assert DaemonConfig.parse(render(PLAIN)).allow_users == {0, 1000}
    assert EVERYTHING.keys() | SOCKET.keys() | PLAIN.keys() <= DaemonConfig.keys().keys()


@pytest.mark.parametrize("how", [lambda given: given, lambda given: {"config": given}])
def test_several_networks(how: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Networks take the place of the one network that the job has by default."""
    given = {"networks": [{"name": "a", "cidr": "10.9.0.0/16", "bridge": "b"}]}
    rendered = render(how(given))
    assert rendered["networks"] == given["networks"]
    assert DaemonConfig.parse(rendered).networks[0].name == "a"


def test_keys_without_a_property_of_their_own() -> None:
    """Each key can be set through the property C{config}, which overrides the others."""
    given = dict.fromkeys(DaemonConfig.keys(), "given")
    assert render({"config": given}) == given


@pytest.mark.parametrize("missing", sorted(TLS))
def test_part_of_tls(missing: str) -> None:
    """If one of the three properties of tls is missing, the error names it."""
    tls = {key: value for key, value in TLS.items() if key != missing}
    with pytest.raises(jobs.RenderingFailed, match=f"runc_cpid.tls: {missing} missing"):
        render({"tls": tls})


def test_packaging_tells_what_is_missing(release: Path, tmp_path: Path) -> None:
    """The packaging script refuses a Python without wheels, and says what to do."""
    package = release / "packages" / "runc-cpid"
    programs = tmp_path / "bin"
    programs.mkdir()
    fake = programs / "python3"
    fake.write_text("#!/bin/sh\ncase $* in *print*) echo 3.99 ;; *pip*) exit 1 ;; esac\n")
    fake.chmod(0o755)
    outcome = packages.compile_package(
        package, tmp_path / "s", tmp_path / "o", f"{programs}:{packages.SEARCH_PATH}"
    )
    assert outcome.returncode == 1
    assert "build-release --python 3.99 --machine" in outcome.stderr


class Host:
    """
    A host with the job, and what monit does with it.

    @ivar vcap: the directory that is its /var/vcap.
    """

    def __init__(self, home: Path) -> None:
        self.vcap = home / "vcap"
        self._home = home
        self._started: list[subprocess.Popen[bytes]] = []

    def control(self, word: str) -> subprocess.Popen[bytes]:
        """Start a program of the job as monit does, without waiting for it."""
        unshare = ["unshare", "--mount", "--propagation", "private", "sh", "-c", _SCRIPT]
        process = subprocess.Popen(
            [*unshare, "host", str(self._home), CONTROL, word],
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._started.append(process)
        return process

    def clear(self) -> None:
        """End all processes of the host."""
        for process in self._started:
            if process.poll() is None:
                process.kill()
                process.wait()

    @property
    def pid(self) -> int:
        """Return the number in the pid file."""
        path = self.vcap / "sys" / "run" / "runc_cpid" / "runc_cpid.pid"
        return int(path.read_text()) if path.exists() else 0

    def log(self, name: str) -> str:
        """Return the text of a log of the job."""
        path = self.vcap / "sys" / "log" / "runc_cpid" / f"runc_cpid.{name}.log"
        return path.read_text() if path.exists() else ""


@pytest.fixture(scope="module")
def package(release: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The compiled package of the daemon."""
    target = tmp_path_factory.mktemp("runc-cpid") / "compiled"
    scratch = tmp_path_factory.mktemp("scratch")
    source = release / "packages" / "runc-cpid"
    outcome = packages.compile_package(source, scratch, target)
    assert outcome.returncode == 0, outcome.stderr
    return target


@pytest.fixture
def unstarted(new_daemon: NewDaemon) -> Daemon:
    """A daemon that is not started: the job starts it with its configuration."""
    return new_daemon(network_type="tcp")


@pytest.fixture
def host(package: Path, release: Path, unstarted: Daemon, tmp_path: Path) -> Iterator[Host]:
    """A host with the job deployed."""
    host = Host(tmp_path)
    for name in ("packages", "sys/run", "sys/log", "store"):
        (host.vcap / name).mkdir(parents=True)
    (host.vcap / "packages" / "runc-cpid").symlink_to(package)
    properties = {"runc_cpid": unstarted.config}
    jobs.install(release / "jobs" / "runc_cpid", properties, host.vcap / "jobs")
    yield host
    host.clear()


def test_life_of_the_daemon(
    host: Host, unstarted: Daemon, release: Path, compiled: Path, tmp_path: Path
) -> None:
    """The daemon starts, serves, is not started twice, and stops, all as monit does it."""
    started = host.control("start")
    address = {"network_type": "tcp", "address": unstarted.config["address"]}
    cpi_jobs = tmp_path / "cpi-jobs"
    jobs.install(release / "jobs" / "runc_cpi", {"runc_cpi": address}, cpi_jobs)
    cli = CLI(cpi_jobs, compiled)
    eventually(lambda: "serving at" in host.log("stdout") or started.poll(), "serves", 40)
    assert started.poll() is None, host.log("stderr")
    assert cli.ok("has_vm", "vm-none") is False
    # monit watches this process.
    assert host.pid == started.pid
    assert host.control("start").wait(10) == 0
    assert started.poll() is None
    assert host.control("stop").wait(60) == 0
    assert started.wait(10) == -signal.SIGTERM
    assert host.pid == 0
    assert host.control("stop").wait(10) == 0


def test_stale_pid_file(host: Host) -> None:
    """The process whose number is in a stale pid file is left alone."""
    bystander = subprocess.Popen(["sleep", "60"])
    try:
        path = host.vcap / "sys" / "run" / "runc_cpid" / "runc_cpid.pid"
        path.parent.mkdir()
        path.write_text(f"{bystander.pid}\n")
        assert host.control("stop").wait(10) == 0
        assert bystander.poll() is None
        assert not path.exists()
    finally:
        bystander.kill()
        bystander.wait()


def test_refusal_is_logged(host: Host) -> None:
    """The reason why the daemon does not start is in its log, where BOSH collects it."""
    file = host.vcap / "jobs" / "runc_cpid" / "config" / "config.yml"
    file.write_text('{"cidr": "nonsense"}')
    assert host.control("start").wait(30) == 1
    assert "cidr: 'nonsense' must be a network such as" in host.log("stderr")
