"""Ports of VMs: who of the host listens there, and rules that cannot be read."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path

import pytest

from runc_cpi.daemon.config import DaemonConfig
from runc_cpi.daemon.doctor import ports
from runc_cpi.daemon.doctor.examination import examine
from runc_cpi.daemon.doctor.finding import WARNING, Finding, Patient
from runc_cpi.daemon.host.network import libnftables
from runc_cpi.daemon.host.network.listeners import Listener, Process
from runc_cpi.daemon.networks.ports import parse
from runc_cpi.daemon.storage.depot import Depot
from runc_cpi.daemon.storage.records import write_record
from tests.unit.vms.test_vm import vm

BOTH = frozenset([4, 6])


def listener(port: int, address: str | None = None) -> Listener:
    """Return a socket of the host; its inode is its port."""
    found = None if address is None else ip_address(address)
    versions = BOTH if found is None else frozenset([found.version])
    return Listener(address=found, versions=versions, port=port, inode=port)


def found(
    work_dir: Path, monkeypatch: pytest.MonkeyPatch, published: list[str], *there: Listener
) -> tuple[Finding, list[int]]:
    """
    Return what is found without a daemon, and the sockets whose owners are looked for.

    @param published: what a VM with an address of IPv4 publishes.
    @param there: the sockets of TCP.
    """
    directory = Depot(work_dir).vms / "vm-1"
    directory.mkdir(parents=True)
    write_record(directory / "vm.json", vm(ports=parse(published)).to_json())
    asked: list[int] = []

    def owner(inode: int) -> Process:
        asked.append(inode)
        return Process(pid=inode, name="x")

    monkeypatch.setattr(ports, "listeners", lambda kind: there if kind == "tcp" else ())
    monkeypatch.setattr(ports, "owner", owner)
    config = DaemonConfig.parse({"work_dir": str(work_dir)})
    (finding,) = ports.published_ports(Patient(config=config, is_served=False))
    return finding, asked


def test_who_listens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who listens counts at the VM's ports, addresses, protocol and kind of IP alone."""
    finding, asked = found(
        tmp_path,
        monkeypatch,
        ["80:8080", "100-102:100-102", "127.0.0.1:90:90", "53:53/udp"],
        *(listener(number) for number in (79, 80, 81, 99, 103, 53)),
        *(listener(101, "127.0.0.1"), listener(102, "::1")),
        *(listener(90, "127.0.0.2"), listener(90, "127.0.0.1")),
    )
    assert asked == [80, 101, 90]
    assert finding.state == WARNING
    assert (
        "x (pid 101) of this host listens at 101/tcp, which leads to vm-1" in finding.seen
    )


def test_many_who_listen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The owners of those that are named are looked for, and of no others."""
    many = [listener(number) for number in range(1000, 1100)]
    finding, asked = found(tmp_path, monkeypatch, ["1000-1099:1000-1099"], *many)
    assert asked == [1000, 1001, 1002, 1003, 1004]
    assert "and 95 more: it gets nothing" in finding.seen


def test_rules_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the library fails, no port is said to lead nowhere."""
    found(tmp_path, monkeypatch, ["80:8080"])
    monkeypatch.setattr(libnftables, "NAME", "libnobodyhasthis.so.1")
    config = DaemonConfig.parse({"work_dir": str(tmp_path)})
    patient = Patient(config=config, is_served=True)
    (finding,) = examine(patient, [ports.published_ports])
    assert (finding.check, finding.state) == ("published ports", WARNING)
    assert "cannot be looked at: libnobodyhasthis" in finding.seen
