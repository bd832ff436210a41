"""The OCI specification: the facts on which isolation and the agent rest."""

from __future__ import annotations

import json
from typing import Any

import pytest

from runc_cpi.daemon.base.id_range import SIZE, IdRange
from runc_cpi.daemon.host import capabilities
from runc_cpi.daemon.vms.inits import INITS
from runc_cpi.daemon.vms.spec.confinement import DROPPED_CAPABILITIES
from runc_cpi.daemon.vms.spec.document import limits, runtime_spec

GRANTED = ["CAP_CHOWN", "CAP_SYS_ADMIN"]


def built(init: str = "runit", **changes: Any) -> dict[str, Any]:
    """Return the specification of a VM like any other, with changes."""
    arguments: dict[str, Any] = {
        "hostname": "vm-1",
        "init": INITS[init],
        "binds": {"/var/vcap/data": "/w/vms/vm-1/data"},
        "cgroup": "/runc-cpid-1/vm-1",
        "capabilities": GRANTED,
        "resources": limits(cpu=None, ram=None, pids=100, swap_accounting=False),
        "open_files": 20000,
    }
    return runtime_spec(**{**arguments, **changes})


def mounts(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the mounts by where they are."""
    return {mount["destination"]: mount for mount in document["mounts"]}


def test_every_namespace_is_its_own() -> None:
    """A VM shares no namespace with the host or with another VM: none has a path."""
    assert built()["linux"]["namespaces"] == [
        {"type": kind} for kind in ("pid", "ipc", "uts", "mount", "network", "cgroup")
    ]


def test_own_ids() -> None:
    """A VM with ids of its own has a user namespace that maps all of them."""
    document = built(ids=IdRange(SIZE), root="/mnt")
    assert {"type": "user"} in document["linux"]["namespaces"]
    mapping = [{"containerID": 0, "hostID": SIZE, "size": SIZE}]
    assert document["linux"]["uidMappings"] == mapping
    assert document["linux"]["gidMappings"] == mapping
    assert document["root"] == {"path": "/mnt"}


def test_the_cgroup_is_where_it_was_said() -> None:
    """The container's cgroup is in the VM's, which the VM cannot reach."""
    assert built()["linux"]["cgroupsPath"] == "/runc-cpid-1/vm-1/inside"


def test_capabilities_are_those_granted() -> None:
    """No set of capabilities holds more than is granted, and none is inherited."""
    sets = built()["process"]["capabilities"]
    assert sets.pop("inheritable") == []
    assert sets == dict.fromkeys(("bounding", "effective", "permitted"), GRANTED)


def test_open_files() -> None:
    """A process of a VM may have as many open files as the daemon."""
    limit = {"type": "RLIMIT_NOFILE", "hard": 20000, "soft": 20000}
    assert built()["process"]["rlimits"] == [limit]


def test_dropped_capabilities_exist() -> None:
    """Each dropped capability exists: a misspelt name would drop nothing."""
    assert set(capabilities.CAPABILITIES) >= DROPPED_CAPABILITIES
    for name in ("SYS_TIME", "SYS_MODULE", "SYS_BOOT", "SYS_RAWIO"):
        assert f"CAP_{name}" in DROPPED_CAPABILITIES
    for name in ("SYS_ADMIN", "NET_ADMIN", "MKNOD", "CHOWN", "SETUID"):
        assert f"CAP_{name}" not in DROPPED_CAPABILITIES


def test_the_guard() -> None:
    """The filter refuses what dropped capabilities would allow, and nothing else."""
    assert "seccomp" not in built(privileged=True)["linux"]
    guard = built(guarded=True)["linux"]["seccomp"]
    assert guard["defaultAction"] == "SCMP_ACT_ALLOW"
    *ioctls, refused = guard["syscalls"]
    assert ioctls == built()["linux"]["seccomp"]["syscalls"]
    assert refused["action"] == "SCMP_ACT_ERRNO"
    assert {"init_module", "clock_settime", "kexec_load", "iopl"} <= set(refused["names"])
    assert not {"mount", "capset", "bpf", "setns", "unshare"} & set(refused["names"])


def test_ioctls_are_told_apart_by_32_bits() -> None:
    """The filter looks at 32 bits of an ioctl's number, as the kernel does."""
    for refused in built()["linux"]["seccomp"]["syscalls"]:
        assert (refused["names"], refused["action"]) == (["ioctl"], "SCMP_ACT_ERRNO")
        (argument,) = refused["args"]
        assert (argument["index"], argument["op"]) == (1, "SCMP_CMP_MASKED_EQ")
        assert argument["value"] == 0xFFFFFFFF
        assert argument["valueTwo"] <= 0xFFFFFFFF


def test_tunables_of_the_host_are_read_only() -> None:
    """Kernel tunables of the host are read-only; those of the VM's network are not."""
    linux = built()["linux"]
    assert {
        "/proc/sys/kernel",
        "/proc/sys/vm",
        "/proc/sys/fs",
        "/proc/sysrq-trigger",
    } <= set(linux["readonlyPaths"])
    assert not any(path.startswith("/proc/sys/net") for path in linux["readonlyPaths"])
    assert "/proc/sys" not in linux["readonlyPaths"]
    assert {"/proc/kcore", "/proc/keys", "/sys/firmware"} <= set(linux["maskedPaths"])
    assert "sysctl" not in linux


def test_the_root_is_mounted_by_others() -> None:
    """The root can be written, and the specification mounts nothing over it."""
    assert built()["root"] == {"path": "rootfs"}
    assert "/" not in mounts(built())


def test_files_the_agent_renames_over_are_no_mounts() -> None:
    """Nothing is mounted on files that the agent renames over: the rename would fail."""
    there = mounts(built())
    assert not there.keys() & {"/etc/resolv.conf", "/etc/hosts", "/etc/hostname", "/etc"}


def test_ephemeral_data_is_bound() -> None:
    """What a VM mounts below /var/vcap/data does not show on the host."""
    data = mounts(built())["/var/vcap/data"]
    assert (data["type"], data["source"]) == ("bind", "/w/vms/vm-1/data")
    assert {"rbind", "rslave", "rw"} == set(data["options"])
    assert built()["linux"]["rootfsPropagation"] == "rslave"


def test_cgroups_can_be_written() -> None:
    """A VM can write to its cgroups, as containers within it need."""
    cgroup = mounts(built())["/sys/fs/cgroup"]
    assert cgroup["type"] == "cgroup"
    assert "ro" not in cgroup["options"]


def test_runit_is_started_by_the_stemcells_script() -> None:
    """runit is started without a shell or a prologue in between."""
    assert built("runit")["process"]["args"] == ["/usr/sbin/runsvdir-start"]
    assert built("runit")["process"]["cwd"] == "/"
    assert built("runit")["hostname"] == "vm-1"


def test_systemd_gets_what_it_needs() -> None:
    """systemd is told that it is in a container, and has a /run of its own."""
    document = built("systemd")
    assert document["process"]["args"] == ["/sbin/init"]
    assert any(entry.startswith("container=") for entry in document["process"]["env"])
    assert mounts(document)["/run"]["type"] == "tmpfs"
    assert mounts(document)["/run/lock"]["type"] == "tmpfs"
    assert "/run" not in mounts(built("runit"))


@pytest.mark.parametrize("init", sorted(INITS))
def test_the_environment_is_ours(init: str) -> None:
    """Nothing of the daemon's environment gets into a VM."""
    names = [entry.partition("=")[0] for entry in built(init)["process"]["env"]]
    assert set(names) <= {"PATH", "TERM", "container"}


@pytest.mark.parametrize(
    ("ram", "shared", "run"),
    [(None, "size=50%", "size=20%"), (100, "size=52428800", "size=20971520")],
)
def test_memory_for_files(ram: int | None, shared: str, run: str) -> None:
    """File systems in memory take a part of what the VM may have, or else the host has."""
    resources = limits(cpu=None, ram=ram, pids=None, swap_accounting=False)
    found = mounts(built("systemd", resources=resources))
    assert found["/dev/shm"]["options"][-1] == shared
    assert found["/run"]["options"][-1] == run
    bounded = [mount for mount in found.values() if mount["type"] == "tmpfs"]
    assert all("size=" in str(mount["options"]) for mount in bounded)


def test_it_is_json() -> None:
    """The specification is the same after it was written and read as JSON."""
    assert json.loads(json.dumps(built())) == built()
    assert built()["ociVersion"].startswith("1.0.")


def test_devices_are_denied_unless_allowed() -> None:
    """Neither a disk of the host nor its memory is among what a VM can open."""
    resources = limits(cpu=None, ram=None, pids=100, swap_accounting=True)
    nothing, *allowed = resources["devices"]
    assert nothing == {"allow": False, "access": "rwm"}
    assert all(rule["access"] == "m" for rule in allowed if rule["type"] == "b")
    assert {"allow": True, "type": "c", "major": 1, "minor": 3, "access": "rwm"} in allowed
    assert resources == {"devices": resources["devices"], "pids": {"limit": 100}}
    assert "pids" not in limits(cpu=None, ram=None, pids=None, swap_accounting=True)


@pytest.mark.parametrize(
    ("cpu", "quota"), [(1, 100_000), (0.5, 50_000), (0.01, 1000), (4096, 409_600_000)]
)
def test_processors_become_a_quota(cpu: float, quota: int) -> None:
    """Processors become a quota of 1000 microseconds or more, as the kernel demands."""
    cpus = limits(cpu=cpu, ram=None, pids=100, swap_accounting=False)["cpu"]
    assert cpus == {"quota": quota, "period": 100_000}
    assert isinstance(cpus["quota"], int)


@pytest.mark.parametrize(
    ("swap_accounting", "expected"),
    [(False, {"limit": 512 << 20}), (True, {"limit": 512 << 20, "swap": 512 << 20})],
)
def test_memory_is_bounded_without_swap(
    swap_accounting: bool, expected: dict[str, int]
) -> None:
    """Memory is bounded with swap where the kernel can do that, and alone elsewhere."""
    resources = limits(cpu=None, ram=512, pids=100, swap_accounting=swap_accounting)
    assert resources["memory"] == expected
