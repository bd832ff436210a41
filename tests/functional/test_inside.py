"""A VM, seen from inside."""

from __future__ import annotations

import json
import resource
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.harness import images
from tests.harness.daemon import AGENT
from tests.harness.lab import Lab
from tests.harness.vm import SETTINGS, VM
from tests.harness.waiting import eventually

DNS = ["192.0.2.53", "192.0.2.54"]
ENV: dict[str, Any] = {
    "bosh": {
        "password": "*",
        "mbus": {"cert": {"ca": "CA\n", "certificate": "ü", "private_key": "k"}},
        "blobstores": [{"provider": "dav", "options": {"a": [1, None, True]}}],
        "ntp": ["192.0.2.1"],
        "tags": {"x": "y"},
        "never_heard_of": {"deep": {"er": 1.5}},
    },
    "persistent_disk_fs": "xfs",
    "unknown": [[], {}, "\u0000"],
}
CAP_SYS_MODULE, CAP_SYS_RAWIO, CAP_SYS_BOOT, CAP_SYS_TIME = 16, 17, 22, 25
CAP_SYSLOG, CAP_NET_ADMIN, CAP_SYS_ADMIN = 34, 12, 21


def host_settings() -> dict[str, str]:
    """Read the kernel's tunables that a VM shares with the host."""
    # These are counters, adapt to the load, or are random at each read.
    restless = {"random", "ns_last_pid", "pty", "perf_event_max_sample_rate"}
    told = {}
    for top in ("kernel", "vm"):
        for path in Path("/proc/sys", top).rglob("*"):
            if path.parts[4] in restless or not path.is_file():
                continue
            try:
                told[str(path)] = path.read_text("utf-8", "replace")
            except OSError:
                continue  # written only, or of a part that is switched off
    return told


def hierarchies() -> list[str]:
    """Return the cgroup controllers, with the hierarchy that each is on."""
    lines = Path("/proc/cgroups").read_text("ascii").splitlines()
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    # The third column counts cgroups, which others make as well.
    controllers = [" ".join(line.split()[:2]) for line in lines]
    return controllers + [line for line in mounts if " - cgroup" in line]


@pytest.fixture(scope="module", params=images.KINDS)
def vm(
    request: pytest.FixtureRequest, lab: Lab, image: Callable[[str], Path]
) -> Iterator[VM]:
    """A VM for all tests here; its boot must not change the host."""
    settings, controllers = host_settings(), hierarchies()
    with lab.daemons() as new_daemon:
        daemon = new_daemon(config={"vip_addresses": ["192.0.2.99"]}).start()
        networks = {
            "one": {"type": "manual", "ip": daemon.network + "9", "default": ["gateway"]},
            "two": {"type": "dynamic", "dns": DNS, "default": ["dns"], "prefix": 24},
            "three": {"type": "vip", "ip": "192.0.2.99"},
        }
        vm = daemon.create_vm(
            daemon.create_stemcell(image(request.param)), networks, env=ENV
        )
        vm.wait_for_agent()
        yield vm
        assert host_settings() == settings
        assert hierarchies() == controllers


def test_names(vm: VM) -> None:
    """The VM knows its host name, and its own address by that name."""
    assert vm.run("hostname").strip() == vm.cid
    assert vm.read("/etc/hostname") == vm.cid + "\n"
    hosts = vm.read("/etc/hosts").splitlines()
    assert "127.0.0.1 localhost" in hosts
    assert f"{vm.address} {vm.cid}" in hosts


def test_resolv_conf(vm: VM) -> None:
    """The name servers are those of the network that is the default for DNS."""
    told = "".join(f"nameserver {server}\n" for server in DNS)
    assert vm.read("/etc/resolv.conf") == told


@pytest.mark.parametrize("name", ["resolv.conf", "hosts", "hostname"])
def test_agent_can_rename_over(vm: VM, name: str) -> None:
    """The agent can rename over its files: they are ordinary, and no mounts."""
    mounted = [line.split()[4] for line in vm.read("/proc/self/mountinfo").splitlines()]
    assert f"/etc/{name}" not in mounted
    assert vm.run("stat", "-c", "%F %u:%g %a", f"/etc/{name}") == ("regular file 0:0 644\n")
    script = f"cp -p /etc/{name} /etc/{name}.new; mv /etc/{name}.new /etc/{name}"
    vm.shell(script)


def test_agent_settings(vm: VM) -> None:
    """
    The agent's settings are complete, readable by root only, and leave the interfaces
    alone.
    """
    assert vm.run("stat", "-c", "%u:%g %a", SETTINGS) == "0:0 600\n"
    settings = json.loads(vm.read(SETTINGS))
    assert settings["agent_id"] == "agent-1"
    assert settings["vm"]["name"] == vm.cid
    assert settings["mbus"] == AGENT["mbus"]
    assert settings["ntp"] == AGENT["ntp"]
    assert settings["blobstore"] == AGENT["blobstore"]
    assert settings["env"] == ENV
    assert settings["disks"] == {"system": "", "ephemeral": "", "persistent": {}}
    networks = settings["networks"]
    assert networks["one"]["preconfigured"] is True
    assert networks["two"]["preconfigured"] is True
    assert networks["two"]["prefix"] == "32"
    assert networks["two"]["ip"] == vm.networks["two"]["ip"]
    assert "preconfigured" not in networks["three"]


def test_sync_time_is_harmless(vm: VM) -> None:
    """The agent's script that sets the clock succeeds, and does not set it."""
    assert "chron" not in vm.read("/var/vcap/bosh/bin/sync-time")
    assert vm.run("/var/vcap/bosh/bin/sync-time") == ""


def test_interfaces(vm: VM) -> None:
    """Loopback and eth0 are up, with both addresses, a route and the usual MTU."""
    told = vm.run("ip", "addr", "show", "dev", "eth0")
    for network in ("one", "two"):
        assert f"inet {vm.networks[network]['ip']}/24" in told
    assert "192.0.2.99" not in told
    assert "mtu 1500" in told
    assert "UP" in told
    assert "127.0.0.1/8" in vm.run("ip", "addr", "show", "dev", "lo")
    assert "UP" in vm.run("ip", "addr", "show", "dev", "lo")
    gateway = vm.address.rpartition(".")[0] + ".1"
    assert f"default via {gateway} dev eth0" in vm.run("ip", "route")
    vm.run("ping", "-c", "1", "-W", "2", gateway)
    vm.run("ping", "-c", "1", "-W", "2", "127.0.0.1")


def test_capabilities(vm: VM) -> None:
    """
    The VM's root lacks capabilities that would harm the host, and has what an agent needs.
    """
    for process in ("1", "self"):
        told = dict(
            line.split(":\t", 1) for line in vm.read(f"/proc/{process}/status").splitlines()
        )
        assert int(told["CapInh"], 16) == 0
        for which in ("CapEff", "CapPrm", "CapBnd"):
            mask = int(told[which], 16)
            for bit in (CAP_SYS_MODULE, CAP_SYS_RAWIO, CAP_SYS_BOOT, CAP_SYS_TIME):
                assert not mask >> bit & 1, (process, which, bit)
            assert not mask >> CAP_SYSLOG & 1
            assert mask >> CAP_NET_ADMIN & 1
            assert mask >> CAP_SYS_ADMIN & 1


def test_the_kernels_log(vm: VM) -> None:
    """It cannot be opened: a rsyslogd would read an empty one for ever, without a pause."""
    assert "No such device" in vm.attempt("cat", "/proc/kmsg").stderr
    assert "kmsg" not in vm.run("ls", "-A", "/")


@pytest.mark.parametrize(
    "name", ["kernel/core_pattern", "kernel/domainname", "vm/swappiness", "fs/file-max"]
)
def test_host_tunables_are_out_of_reach(vm: VM, name: str) -> None:
    """A VM can read the kernel settings of the host, but not write them."""
    path = f"/proc/sys/{name}"
    vm.read(path)
    outcome = vm.attempt("/bin/sh", "-c", f"cat {path} >{path}")
    assert outcome.returncode != 0
    assert "Read-only" in outcome.stderr


def test_sysrq_is_out_of_reach(vm: VM) -> None:
    """A VM cannot write to C{/proc/sysrq-trigger}."""
    outcome = vm.attempt("/bin/sh", "-c", ">/proc/sysrq-trigger")
    assert outcome.returncode != 0


def test_net_tunables_are_its_own(vm: VM) -> None:
    """A VM can change the settings of its own network namespace."""
    vm.shell("echo 65 >/proc/sys/net/ipv4/ip_default_ttl")
    assert vm.read("/proc/sys/net/ipv4/ip_default_ttl") == "65\n"
    assert Path("/proc/sys/net/ipv4/ip_default_ttl").read_text("ascii") == "64\n"


def test_open_files(vm: VM) -> None:
    """The first process may open as many files as the daemon's hard limit allows."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    (line,) = [
        line.split() for line in vm.read("/proc/1/limits").splitlines() if "open f" in line
    ]
    assert line[3:5] == [str(hard)] * 2


def test_directories(vm: VM) -> None:
    """The root file system has the stemcell's owners and modes."""
    told = vm.run("stat", "-c", "%n %u:%g %a", "/", "/tmp", "/root", "/var/vcap/data")
    assert told.splitlines() == [
        "/ 0:0 755",
        "/tmp 0:0 1777",
        "/root 0:0 700",
        "/var/vcap/data 0:0 755",
    ]
    assert vm.run("stat", "-c", "%u:%g", "/home/vcap") == "1000:1000\n"


def test_mounts_stay_inside(vm: VM) -> None:
    """The host neither sees nor keeps what a VM mounts."""
    vm.shell("mkdir -p /mnt/x; mount -t tmpfs tmpfs /mnt/x; echo 1 >/mnt/x/f")
    mounts = Path("/proc/self/mountinfo").read_text("utf-8")
    places = [line.split()[4] for line in mounts.splitlines()]
    # Its root disk and its console are file systems that the daemon mounted.
    assert [place for place in places if place.startswith(str(vm.directory))] == [
        str(vm.directory / "layers"),
        str(vm.directory / "console"),
    ]
    vm.shell("umount /mnt/x")


def test_init(vm: VM) -> None:
    """The stemcell's own init is the first process, and all services run."""
    first = vm.read("/proc/1/comm").strip()
    if first == "systemd":

        def state() -> bool:
            outcome = vm.attempt("systemctl", "is-system-running")
            return outcome.stdout.strip() not in ("starting", "initializing", "")

        eventually(state, "systemd has booted", 30)
        failed = vm.attempt("systemctl", "--failed", "--no-legend", "--plain")
        assert failed.stdout == ""
        assert vm.attempt("systemctl", "is-system-running").stdout == "running\n"
    else:
        assert first == "runsvdir"
        assert "run: /etc/service/agent" in vm.run("sv", "status", "/etc/service/agent")
