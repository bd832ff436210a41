"""The daemon's start: one line says what is wrong, and what is missing is made."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest
from pyroute2 import IPRoute

from tests.harness.daemon import Daemon
from tests.harness.lab import NewDaemon
from tests.harness.waiting import eventually
from tests.harness.wrapper import Wrapper

BAD_VALUES: list[tuple[dict[str, Any], str, str]] = [
    ({"colour": "red"}, "colour", "work_dir"),
    ({"work_dir": 7}, "work_dir", "absolute path"),
    ({"work_dir": "relative"}, "work_dir", "absolute path"),
    ({"work_dir": "/a,b"}, "work_dir", "absolute path"),
    ({"work_dir": None}, "work_dir", "absolute path"),
    ({"network_type": "udp"}, "network_type", "unix or tcp"),
    ({"network_type": "tcp", "address": "localhost:1"}, "address", "IP:PORT"),
    ({"network_type": "tcp", "address": "127.0.0.1:0"}, "address", "IP:PORT"),
    ({"network_type": "tcp", "address": "::1:80"}, "address", "IP:PORT"),
    ({"address": "127.0.0.1:9999"}, "address", "socket"),
    ({"address": "/" + "x" * 107}, "address", "107"),
    ({"cidr": "10.0.0.0/31"}, "cidr", "/30"),
    ({"cidr": "10.0.0.1/16"}, "cidr", "a network such as"),
    ({"gateway": "198.51.100.1"}, "gateway", "host in"),
    ({"bridge": "much-too-long-a-name"}, "bridge", "1 to 15"),
    ({"bridge": "a/b"}, "bridge", "1 to 15"),
    ({"runtime": ""}, "runtime", "program"),
    ({"log_format": "xml"}, "log_format", "text or json"),
    ({"runtime": "no-such-runtime"}, "runtime", "PATH"),
]


@pytest.mark.parametrize(("config", "key", "accepted"), BAD_VALUES)
def test_bad_values(
    new_daemon: NewDaemon, config: dict[str, Any], key: str, accepted: str
) -> None:
    """The line about a bad value names the key, and what is accepted."""
    daemon = new_daemon(config=config | {"bridge": config.get("bridge", "never")})
    if "work_dir" in config:
        daemon.work_dir = daemon.home / "w"
    line = daemon.refusal()
    assert f"{key}:" in line
    assert accepted in line
    assert "never" not in {name for _, name in socket.if_nameindex()}


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"", None),
        (b"- a\n- b\n", "mapping"),
        (b"work_dir: [", "not YAML"),
        (b"\xff\xfe", "UTF-8"),
        (b"work_dir: !!python/object/apply:os.getpid []", "not YAML"),
    ],
)
def test_no_configuration(new_daemon: NewDaemon, content: bytes, named: str | None) -> None:
    """A file without a configuration is refused, and named."""
    daemon = new_daemon()
    daemon.config_file.write_bytes(content)
    if named is None:
        daemon.config_file.unlink()
        named = "No such file"
    line = daemon.refusal()
    assert named in line
    assert str(daemon.config_file) in line


def test_not_root(new_daemon: NewDaemon) -> None:
    """A user who is not root cannot run the daemon, and is told so."""
    daemon = new_daemon()
    daemon.home.chmod(0o777)
    prefix = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    # If others cannot reach python itself, capabilities do what root did.
    prefix += ["--inh-caps=+dac_read_search,+dac_override"]
    prefix += ["--ambient-caps=+dac_read_search,+dac_override"]
    assert "must run as root" in daemon.refusal(prefix=prefix)


@pytest.mark.parametrize("program", ["tar", "rm", "runc"])
def test_missing_program(new_daemon: NewDaemon, tmp_path: Path, program: str) -> None:
    """A program that is not on the PATH is named."""
    for name in {"tar", "rm", "runc"} - {program}:
        found = shutil.which(name)
        assert found is not None
        (tmp_path / name).symlink_to(found)
    line = new_daemon(path=str(tmp_path)).refusal()
    assert program in line
    assert "PATH" in line


def test_work_dir_that_cannot_be_written(new_daemon: NewDaemon) -> None:
    """The reason why work_dir cannot be written is told: here a file is in its place."""
    daemon = new_daemon()
    daemon.work_dir.write_text("a file")
    line = daemon.refusal()
    assert "work_dir:" in line
    assert str(daemon.work_dir) in line


def test_work_dir_on_a_read_only_file_system(new_daemon: NewDaemon) -> None:
    """
    The reason why work_dir cannot be written is told: here it is on a read-only file
    system.
    """
    daemon = new_daemon()
    daemon.work_dir.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(daemon.work_dir)]
    subprocess.run(mount, check=True)
    try:
        line = daemon.refusal()
    finally:
        subprocess.run(["umount", str(daemon.work_dir)], check=True)
    assert "work_dir:" in line
    assert "Read-only file system" in line


def test_work_dir_in_use(daemon: Daemon, new_daemon: NewDaemon) -> None:
    """Two daemons never share a working directory, and the first one does not notice."""
    other = new_daemon(config={"work_dir": str(daemon.work_dir)})
    line = other.refusal()
    assert "work_dir:" in line
    assert "another runc-cpid" in line
    assert daemon.cpi.ok("ping") == "pong"


def test_socket_in_use(daemon: Daemon, new_daemon: NewDaemon) -> None:
    """A socket that another process listens at is left alone."""
    other = new_daemon(config={"address": str(daemon.socket)})
    line = other.refusal()
    assert "address:" in line
    assert "another program listens" in line
    assert daemon.cpi.ok("ping") == "pong"


def test_socket_path_of_something_else(new_daemon: NewDaemon) -> None:
    """An ordinary file is not taken for a stale socket."""
    daemon = new_daemon()
    daemon.socket.write_text("precious")
    assert "address:" in daemon.refusal()
    assert daemon.socket.read_text() == "precious"


@pytest.mark.parametrize("key", ["address", "http.address"])
def test_port_in_use(new_daemon: NewDaemon, key: str) -> None:
    """A port that is in use is named."""
    daemon = new_daemon(network_type="tcp")
    if key == "http.address":
        daemon.config["http"] = {"address": f"127.0.0.1:{daemon.port}"}
        daemon.config["address"] = f"127.0.0.1:{daemon.port + 1000}"
        daemon.write_config()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", daemon.port))
        taken.listen()
        line = daemon.refusal()
    assert line.startswith(f"runc-cpid: {key}: 127.0.0.1:{daemon.port}: ")
    assert "in use" in line


def test_address_of_another_host(new_daemon: NewDaemon) -> None:
    """An address that is not this host's is named."""
    daemon = new_daemon(network_type="tcp", config={"address": "192.0.2.1:9999"})
    line = daemon.refusal()
    assert "address: 192.0.2.1:9999" in line


def test_bridge_is_no_bridge(new_daemon: NewDaemon) -> None:
    """An interface that is no bridge is left alone."""
    daemon = new_daemon(config={"bridge": "lo"})
    line = daemon.refusal()
    assert "bridge: lo" in line
    assert "no bridge" in line


def test_bridge_that_is_there(new_daemon: NewDaemon, tiny: Path) -> None:
    """A bridge that the operator made is used as it is."""
    daemon = new_daemon()
    with IPRoute() as ip:
        ip.link("add", ifname=daemon.config["bridge"], kind="bridge", mtu=1400)
    daemon.start()
    vm = daemon.create_vm(daemon.create_stemcell(tiny))
    vm.run("ping", "-c", "1", "-W", "2", daemon.network + "1")


def test_runtime_that_cannot_do_it(new_daemon: NewDaemon, tmp_path: Path) -> None:
    """A runtime that cannot work on this host is refused, with its own reason."""
    wrapper = Wrapper(tmp_path / "wrapper")
    reason = "cgroups in hybrid mode not supported, drop all controllers from cgroupv2"
    wrapper.fail("create", reason)
    daemon = new_daemon(config={"runtime": str(wrapper.program)})
    line = daemon.refusal()
    assert "runtime:" in line
    assert reason in line
    assert list(daemon.scratch.iterdir()) == []


def test_runtime_that_is_no_runtime(new_daemon: NewDaemon) -> None:
    """A program that is no runtime is refused."""
    assert "runtime:" in new_daemon(config={"runtime": "tar"}).refusal()
    assert "runtime:" in new_daemon(config={"runtime": "/"}).refusal()


def test_runtime_that_says_yes_and_does_nothing(new_daemon: NewDaemon) -> None:
    """A program that succeeds without making a container is refused as a runtime."""
    line = new_daemon(config={"runtime": "true"}).refusal()
    assert "runtime:" in line


def test_stale_socket_is_replaced(daemon: Daemon) -> None:
    """
    The socket of a daemon that was killed is replaced, and only root may use the new one.
    """
    daemon.kill()
    assert daemon.socket.is_socket()
    daemon.start()
    assert daemon.cpi.ok("ping") == "pong"
    assert daemon.socket.stat().st_mode & 0o777 == 0o600
    daemon.stop()
    assert not daemon.socket.exists()


def test_directories_are_made(new_daemon: NewDaemon) -> None:
    """The directories of work_dir and of the socket are made."""
    daemon = new_daemon()
    daemon.work_dir = daemon.home / "deep" / "er" / "w"
    address = daemon.home / "run" / "cpid" / "s"
    daemon.config.update(work_dir=str(daemon.work_dir), address=str(address))
    daemon.write_config()
    daemon.start()
    assert address.is_socket()
    assert daemon.work_dir.stat().st_mode & 0o777 == 0o700


def test_ipv6(new_daemon: NewDaemon) -> None:
    """The daemon listens at an IPv6 address in brackets."""
    daemon = new_daemon(network_type="tcp", config={"address": "[::1]:9998"}).start()
    with socket.create_connection(("::1", 9998), timeout=5):
        assert "serving at [::1]:9998" in daemon.log


def test_twistd_options_keep_their_meaning(new_daemon: NewDaemon) -> None:
    """
    twistd's --pidfile and --logfile keep their meaning; the log has the configured format.
    """
    daemon = new_daemon()
    pid, log = daemon.home / "pid", daemon.home / "logfile"
    daemon.launch(f"--pidfile={pid}", f"--logfile={log}")
    daemon.wait_until(lambda: log.exists() and "serving at" in log.read_text())
    assert daemon.process is not None
    assert int(pid.read_text()) == daemon.process.pid
    assert daemon.cpi.ok("ping") == "pong"
    assert "serving" not in daemon.log
    daemon.stop()
    assert not pid.exists()


def test_in_the_background(new_daemon: NewDaemon) -> None:
    """Without -n twistd goes to the background, and serves there."""
    daemon = new_daemon()
    pid, log = daemon.home / "pid", daemon.home / "logfile"
    argv = daemon.argv(f"--pidfile={pid}", f"--logfile={log}")
    argv.remove("--nodaemon")
    environment = daemon.environment()
    subprocess.run(argv, check=True, cwd=daemon.home, env=environment, timeout=60)
    number = int(pid.read_text())
    try:
        eventually(lambda: "serving at" in log.read_text(), "the daemon serves", 20)
        assert daemon.cpi.ok("ping") == "pong"
    finally:
        os.kill(number, 15)
        eventually(lambda: not Path(f"/proc/{number}/fd").exists(), "it has ended", 20)


def test_stderr_stays_empty(daemon: Daemon, tiny: Path) -> None:
    """Nothing is written to stderr besides the log."""
    vm = daemon.create_vm(daemon.create_stemcell(tiny))
    daemon.cpi.ok("delete_vm", vm.cid)
    daemon.stop()
    assert daemon.stderr == ""
    assert "Traceback" not in daemon.log
    assert "Unhandled" not in daemon.log


def test_refused_in_the_background(new_daemon: NewDaemon) -> None:
    """Without -n, too, a refusal ends the command, with a status and a reason."""
    daemon = new_daemon(config={"runtime": "no-such-runtime"})
    pid = daemon.home / "pid"
    argv = daemon.argv(f"--pidfile={pid}", f"--logfile={daemon.home / 'logfile'}")
    argv.remove("--nodaemon")
    outcome = subprocess.run(
        argv,
        cwd=daemon.home,
        env=daemon.environment(),
        capture_output=True,
        text=True,
        timeout=10,
        check=False,
    )
    assert outcome.returncode == 1
    assert "no-such-runtime" in outcome.stderr
    assert "Traceback" not in outcome.stderr
    assert not pid.exists()
