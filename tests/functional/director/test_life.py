"""A director's life: up, again, stop, start, a reboot, an upgrade, and its end."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import yaml

from tests.functional.director.steps import STEPS, taken
from tests.harness.bosh.director import DirectorAPI
from tests.harness.bosh.site import CIDR, Site
from tests.harness.certificates import Authority
from tests.harness.waiting import eventually

# Nothing is told of other hosts.
USUAL = [step for step in STEPS if step != "cpi-config"]


def test_life(site: Site, report: Callable[[str], None]) -> None:
    """All commands, in the order in which an operator may use them."""
    is_shown_before(site)
    again = nothing_changes(site)
    is_reached(site)
    stops_and_starts(site)
    comes_back_after_a_reboot(site)
    comes_back_after_its_end(site)
    has_certificates_renewed(site)
    is_upgraded(site)
    goes(site)
    report(f"runc-cpictl director up, with all there already: {again}")


def api(site: Site) -> DirectorAPI:
    """Return the director, which there must be."""
    assert site.vm.api is not None
    return site.vm.api


def is_shown_before(site: Site) -> None:
    """C{--dry-run} shows the manifest and the commands, and makes nothing."""
    outcome = site.run("up", *site.usual, "--dry-run")
    assert outcome.returncode == 0, outcome.stderr
    assert not site.state_dir.exists()
    manifest = yaml.safe_load(outcome.stdout)
    assert manifest["cloud_provider"]["properties"]["runc_cpi"]["tls"] == "((runc_cpi_tls))"
    assert manifest["networks"][0]["subnets"][0]["range"] == CIDR
    commands = [shlex.split(line) for line in outcome.stderr.splitlines()]
    assert [command[1] for command in commands] == [
        *("create-env", "update-cloud-config", "update-runtime-config", "upload-stemcell")
    ]
    assert str(site.state_dir / "creds.yml") in commands[0]


def nothing_changes(site: Site) -> str:
    """A second C{up} makes nothing anew; return how long it took."""
    assert taken(site.ok("up", *site.usual)) == [
        each for each in STEPS if each != "cpi-config"
    ]
    before = site.status()
    state = (site.state_dir / "state.json").read_bytes()
    copies = sorted((site.state_dir / "backups").iterdir())
    pid = site.daemon_pid()
    told = site.ok("up")
    assert taken(told) == USUAL
    assert site.status() == before
    assert site.daemon_pid() == pid
    assert (site.state_dir / "state.json").read_bytes() == state
    assert sorted((site.state_dir / "backups").iterdir()) == copies
    for step in ("files", "release", "manifest", "create-env", "cloud-config", "dns"):
        (line,) = re.findall(rf"^\[.*\] {step}: .*$", told, re.MULTILINE)
        assert "as it was" in line
    assert set(api(site).configs) == {("cloud", ""), ("runtime", "dns")}
    assert len(api(site).stemcells) == 1
    return re.findall(r"done in (.*)", told)[0]


def is_reached(site: Site) -> None:
    """What C{print-env} prints is all that bosh needs; nobody else can read it."""
    assert site.state_dir.stat().st_mode & 0o777 == 0o700
    exports = site.run("print-env").stdout
    password = yaml.safe_load((site.state_dir / "creds.yml").read_text())["admin_password"]
    assert f"export BOSH_CLIENT_SECRET={password}\n" in exports
    key = site.state_dir / "made" / "jumpbox.key"
    assert f"ssh+socks5://jumpbox@127.0.0.1:2222?private-key={key}" in exports
    for path in (key, site.state_dir / "creds.yml", site.state_dir / "settings.json"):
        assert path.stat().st_mode & 0o077 == 0
    # The VM of this test has no jumpbox.
    script = f"{exports}\nunset BOSH_ALL_PROXY\n{shlex.quote(str(site.bosh))} --json env"
    told = json.loads(run("sh", "-c", script))
    assert told["Tables"][0]["Rows"][0]["name"] == "stand-in"
    assert password not in site.run("env").stdout
    status = site.status()
    assert status["vm"].startswith("vm-")
    assert status["director"].startswith("stand-in 283")


def stops_and_starts(site: Site) -> None:
    """
    C{stop} stops the jobs and keeps the VM; C{up} starts them, as C{start} does.

    It leaves a cloud config alone that the operator has changed meanwhile.
    """
    before = site.status()
    site.ok("stop")
    stopped = site.run("status", "-o", "json")
    assert stopped.returncode == 1
    assert json.loads(stopped.stdout) == {**before, "director": None}
    configs = api(site).configs
    ours, configs["cloud", ""] = configs["cloud", ""], {"azs": [{"name": "mine"}]}
    told = site.ok("up")
    assert re.search(r"^\[.*\] cloud-config: .*yours; left as it is", told, re.MULTILINE)
    assert configs["cloud", ""] == {"azs": [{"name": "mine"}]}
    configs["cloud", ""] = ours
    assert site.status() == before


def comes_back_after_a_reboot(site: Site) -> None:
    """After a reboot of the host the daemon brings the VM back, with its disk and ports."""
    before = site.status()
    site.reboot_host()
    assert site.status()["daemon"] is None
    site.ok("start")
    assert site.status() == before
    told = site.run("logs", "--daemon")
    assert f"brought back {before['vm']}" in told.stdout


def comes_back_after_its_end(site: Site) -> None:
    """A VM that has ended by itself is booted again."""
    before = site.status()
    pid = site.work_dir / "vms" / before["vm"] / "pid"
    os.kill(int(pid.read_text()), signal.SIGKILL)
    eventually(lambda: site.status()["vm"] is None, "the end of the VM")
    told = site.ok("start")
    assert f"{before['vm']}, booted" in told
    assert site.status() == before


def has_certificates_renewed(site: Site) -> None:
    """What bosh has made and ends soon is made anew; then the director has it."""
    path = site.state_dir / "creds.yml"
    credentials = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump(aged(credentials)))
    assert "in 9 days; runc-cpictl director up renews it" in site.status()["certificates"]
    told = site.ok("up")
    assert "] certificates: see when they end ... renewed: default_ca, " in told
    now = yaml.safe_load(path.read_text())
    assert now["director_ssl"]["ca"] == now["default_ca"]["certificate"]
    assert now["default_ca"]["private_key"] == credentials["default_ca"]["private_key"]
    assert now["admin_password"] == credentials["admin_password"]
    status = site.status()
    assert status["director"]
    assert "renews" not in status["certificates"]


def aged(credentials: dict[str, Any]) -> dict[str, Any]:
    """Return the credentials with a CA and a certificate of the director that end soon."""
    authority = Authority.of(credentials["default_ca"]).ending(timedelta(days=9, hours=1))
    names = ("director", "10.93.7.4", "127.0.0.1")
    pair = authority.issue(*names, ends=timedelta(days=12))
    return {**credentials, "default_ca": authority.pair, "director_ssl": pair}


def is_upgraded(site: Site) -> None:
    """C{upgrade} shows what changes and asks; then the VM is another one."""
    before = site.status()
    path = "/instance_groups/name=bosh/properties/director/workers"
    change = [{"type": "replace", "path": path, "value": 5}]
    ops = site.home / "ops.yml"
    ops.write_text(json.dumps(change))
    asked = site.run("upgrade", "--ops", ops)
    assert asked.returncode == 1
    assert "-      workers: 4\n+      workers: 5\n" in asked.stdout
    assert "nothing is changed: nobody can be asked here; give --yes" in asked.stderr
    assert site.status() == before
    site.ok("upgrade", "--yes", "--ops", ops)
    after = site.status()
    assert after["vm"] != before["vm"]
    assert after["director"] == before["director"]
    refused = site.run("up", "--cidr", "10.94.0.0/16")
    assert refused.returncode == 2
    assert f"--cidr: 10.94.0.0/16: the director has {CIDR}" in refused.stderr


def goes(site: Site) -> None:
    """C{destroy} asks, and leaves nothing."""
    api(site).deployments.append("cf")
    asked = site.run("destroy")
    assert asked.returncode == 1
    assert "  the deployment cf\n" in asked.stderr
    assert "nothing is deleted: nobody can be asked here; give --yes" in asked.stderr
    site.ok("destroy", "--yes")
    assert "DELETE /deployments/cf" in api(site).calls
    assert not site.state_dir.exists()
    assert not site.work_dir.exists()
    assert not site.config.exists()
    assert "no director" in site.run("status").stderr


def run(*argv: str) -> str:
    """Run a program, which must succeed, and return what it prints."""
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout
