"""A real daemon under real twistd, with a working directory and a network of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import Any

from runc_cpi.cpi.client import Client
from runc_cpi.cpi.config import load
from tests.harness import forks, steps
from tests.harness.cpi import CPI
from tests.harness.forks import Forked
from tests.harness.vm import VM
from tests.harness.waiting import eventually

TWISTD = Path(sys.executable).with_name("twistd")
CONTROL = Path(sys.executable).with_name("runc-cpictl")
# Programs that begin with the import of what daemons need.
FORKED = [(str(TWISTD),), steps.LAUNCHER]
START_TIMEOUT = 60.0
REFUSAL_TIMEOUT = 60.0
STOP_TIMEOUT = 30.0
REPAIRED = "problems left"
AGENT = {
    "mbus": "https://mbus:secret@0.0.0.0:6868",
    "ntp": ["192.0.2.123"],
    "blobstore": {"provider": "local", "options": {"blobstore_path": "/var/vcap/blobs"}},
}

_NEW_AGENTS = count(1)


class Daemon:
    """
    One daemon, which may be stopped and started again on the same working directory.

    @param home: an empty directory for all that is its own; short, as the socket's
        path must be.
    @param number: sets its bridge, addresses and port apart from those of others.
    @param network_type: C{unix} or C{tcp}.
    @param config: further keys of its configuration, or others in place of the usual.
    @param path: the search path it is started with.
    @param within: a command line that runs another one in namespaces of its own, in which
        the daemon is then started each time.
    """

    def __init__(
        self,
        home: Path,
        number: int,
        *,
        network_type: str = "unix",
        config: Mapping[str, Any] | None = None,
        path: str | None = None,
        within: tuple[str, ...] = (),
    ) -> None:
        self.home, self.network_type = home, network_type
        self.socket = home / "s"
        self.port = 20000 + number
        usual = str(self.socket) if network_type == "unix" else f"127.0.0.1:{self.port}"
        self.config: dict[str, Any] = {
            "work_dir": str(home / "w"),
            "network_type": network_type,
            "address": usual,
            "cidr": f"10.77.{number % 256}.0/24",
            "bridge": f"t{number}",
            **(config or {}),
        }
        self.network = f"10.77.{number % 256}."
        self._agents = count(1)
        self._described = (f"10.{128 + number % 100}.{n >> 8}.{n & 255}" for n in count(2))
        self.work_dir = Path(str(self.config["work_dir"]))
        self.scratch = self.work_dir / "scratch"
        self.out, self.err = home / "out", home / "err"
        self.temporary = home / "tmp"
        self.temporary.mkdir()
        self.config_file = home / "config.yml"
        self.write_config()
        cpi_config = home / "cpi.json"
        told = {
            "network_type": network_type,
            "address": self.config["address"],
            "agent": AGENT,
        }
        cpi_config.write_text(json.dumps(told))
        self.cpi = CPI(cpi_config)
        self._path, self._within = path, within
        self.launcher: Sequence[str] = (str(TWISTD),)
        self.process: subprocess.Popen[bytes] | Forked | None = None

    @property
    def cgroup(self) -> str:
        """The name of the cgroup that those of its VMs are in."""
        digest = sha256(str(self.work_dir).encode()).hexdigest()
        return f"runc-cpid-{digest[:8]}"

    @property
    def log(self) -> str:
        """All it has logged."""
        return self.out.read_text("utf-8", "replace")

    @property
    def stderr(self) -> str:
        """All it has complained."""
        return self.err.read_text("utf-8", "replace")

    def write_config(self) -> None:
        """Write the configuration; JSON is YAML."""
        self.config_file.write_text(json.dumps(self.config))

    def argv(self, *twistd_options: str) -> list[str]:
        """Return the command line."""
        usual = [*self.launcher, "--nodaemon", "--pidfile="]
        plugin = ["runc-cpid", "--config", str(self.config_file)]
        return [*usual, *twistd_options, *plugin]

    def environment(self) -> dict[str, str]:
        """Return the environment it is started with."""
        environment = {**os.environ, "TMPDIR": str(self.temporary)}
        if self._path is not None:
            environment["PATH"] = self._path
        return environment

    def launch(self, *twistd_options: str, prefix: Sequence[str] = ()) -> None:
        """Start the process; L{wait_until} is next."""
        assert self.process is None
        if prefix or twistd_options or self.launcher not in FORKED:
            self._launch([*self.there, *prefix, *self.argv(*twistd_options)])
            return
        *_, script = self.launcher
        with self.out.open("ab") as out, self.err.open("ab") as err:
            self.process = forks.start(
                script,
                self.argv()[len(self.launcher) :],
                cwd=self.home,
                env=self.environment(),
                stdout=out.fileno(),
                stderr=err.fileno(),
                within=self._within,
            )

    @property
    def there(self) -> tuple[str, ...]:
        """What runs a command where the daemon is, if that is elsewhere."""
        if not self._within:
            return ()
        return ("nsenter", f"--mount=/proc/{forks.place(self._within)}/ns/mnt")

    def _launch(self, argv: Sequence[str]) -> None:
        with self.out.open("ab") as out, self.err.open("ab") as err:
            self.process = subprocess.Popen(
                argv,
                cwd=self.home,
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
            )

    def start(self, *twistd_options: str) -> Daemon:
        """Start, and wait until it serves."""
        before = self.log.count("serving at") if self.out.exists() else 0
        self.launch(*twistd_options)
        self.wait_until(lambda: self.log.count("serving at") > before)
        return self

    def recover(self) -> None:
        """Start after a crash, and wait until all that can be put right is."""
        self.process = None
        before = self.log.count(REPAIRED)
        self.start()
        self.wait_until(lambda: self.log.count(REPAIRED) > before)

    def wait_until(self, serving: Any) -> None:
        """Wait until C{serving} says so; it is an error if the process ends before."""
        assert self.process is not None
        process = self.process

        def serves_or_ended() -> bool:
            return process.poll() is not None or serving()

        eventually(serves_or_ended, "the daemon serves", START_TIMEOUT)
        assert process.poll() is None, (process.returncode, self.log, self.stderr)

    def refusal(self, *twistd_options: str, prefix: Sequence[str] = ()) -> str:
        """Start with something wrong; return the one line it is refused with."""
        self.launch(*twistd_options, prefix=prefix)
        assert self.process is not None
        try:
            status = self.process.wait(REFUSAL_TIMEOUT)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"not refused: {self.log}") from None
        self.process = None
        assert status == 1, (status, self.stderr, self.log)
        assert "Traceback" not in self.stderr + self.log, self.stderr
        (line,) = self.stderr.splitlines()
        return line

    def signal(self, number: int) -> int:
        """Send a signal, and return the exit status that comes of it."""
        assert self.process is not None
        process, self.process = self.process, None
        process.send_signal(number)
        try:
            return process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise

    def stop(self) -> None:
        """Stop it as an operator does; that must end well."""
        # Once all is done twistd ends by the signal it was sent.
        status = self.signal(signal.SIGTERM)
        assert status == -signal.SIGTERM, (status, self.log, self.stderr)

    def kill(self) -> None:
        """End it with no chance to do anything about it."""
        self.signal(signal.SIGKILL)

    @property
    def is_running(self) -> bool:
        """Whether the process is there."""
        return self.process is not None and self.process.poll() is None

    @contextmanager
    def connection(self) -> Iterator[Client]:
        """Connect to it as the executable does, for calls one at a time."""
        client = Client(load(str(self.home / "cpi.json"), {}), "cpi-test")
        try:
            yield client
        finally:
            client.close()

    def vm_cids(self) -> list[str]:
        """Name the VMs whose directories are there."""
        vms = self.work_dir / "vms"
        return sorted(path.name for path in vms.iterdir()) if vms.is_dir() else []

    def control(self, *arguments: str) -> str:
        """Run C{runc-cpictl}, and return what it says."""
        outcome = subprocess.run(
            [CONTROL, "--config", self.config_file, *arguments],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert outcome.returncode == 0, outcome.stderr
        return outcome.stdout

    def described_network(self) -> dict[str, Any]:
        """Return a network that no configuration has, with an address not used before."""
        address = next(self._described)
        gateway = ".".join([*address.split(".")[:2], "0.1"])
        return manual(address, netmask="255.255.0.0", gateway=gateway)

    def tear_down(self) -> None:
        """Delete all VMs the regular way, and stop."""
        if self.vm_cids() and not self.is_running:
            self.process = None
            self.start()
        for vm_cid in self.vm_cids():
            self.cpi.ok("delete_vm", vm_cid)
        if self.is_running:
            # The stop waits for a moment only.
            with suppress(AssertionError):
                self.wait_for_removals()
            self.stop()

    def create_stemcell(self, image: Path) -> str:
        """Make a stemcell, and return its cid."""
        cid: str = self.cpi.ok("create_stemcell", str(image), {})
        return cid

    def wait_for_removals(self, timeout: float = 20.0) -> None:
        """Wait until nothing is being made or removed, as goes on after the answer."""

        def is_empty() -> bool:
            # A daemon that was refused has made none.
            return not (self.scratch.is_dir() and os.listdir(self.scratch))

        eventually(is_empty, "scratch is empty", timeout)

    def rootfs_of(self, stemcell_cid: str) -> Path:
        """Return where the root file system of a stemcell is."""
        record = self.work_dir / "stemcells" / stemcell_cid / "stemcell.json"
        image = json.loads(record.read_text())["image"]
        return self.work_dir / "images" / image.replace(":", "-") / "rootfs"

    def create_vm(
        self,
        stemcell_cid: str,
        networks: Mapping[str, Any] | None = None,
        *,
        agent_id: str | None = None,
        cloud_properties: Mapping[str, Any] | None = None,
        env: Mapping[str, Any] | None = None,
    ) -> VM:
        """
        Make a VM, on one dynamic network unless told otherwise.

        @param agent_id: its own; without it, agent-1 for the first, and so on.
        """
        agent_id = agent_id or f"agent-{next(self._agents)}"
        arguments = vm_arguments(stemcell_cid, networks, agent_id, cloud_properties, env)
        return self.vm(self.cpi.ok("create_vm", *arguments))

    def vm(self, result: Any) -> VM:
        """Return the VM that a result of create_vm is about."""
        vm_cid, networks = result
        runtime = str(self.config.get("runtime", "runc"))
        return VM(vm_cid, networks, self.work_dir, self.there, runtime)


def vm_arguments(
    stemcell_cid: str,
    networks: Mapping[str, Any] | None = None,
    agent_id: str | None = None,
    cloud_properties: Mapping[str, Any] | None = None,
    env: Mapping[str, Any] | None = None,
) -> list[Any]:
    """
    Return the arguments of create_vm, in their order.

    @param agent_id: without it, one that no other VM has, as the director does it: a second
        call for one agent means that the first was not answered.
    """
    agent_id = agent_id or f"agent-new-{next(_NEW_AGENTS)}"
    networks = {"default": {"type": "dynamic"}} if networks is None else networks
    return [agent_id, stemcell_cid, cloud_properties or {}, networks, [], env or {}]


def manual(ip: str, **settings: Any) -> dict[str, Any]:
    """Return a manual network with this address."""
    gateway = ip.rpartition(".")[0] + ".1"
    usual = {"type": "manual", "netmask": "255.255.255.0", "gateway": gateway}
    return {**usual, "ip": ip, "cloud_properties": {}, **settings}
