"""Who is measured: this project, and others that BOSH could call in its place."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from tests.benchmarks.docker import DockerHost
from tests.benchmarks.results import OURS
from tests.harness.cpi import CPI
from tests.harness.daemon import AGENT, Daemon, vm_arguments

NETWORK = "runc-cpi-benchmark"
STORE = "/var/vcap/store"


class Refused(Exception):
    """A contender answered a call with an error, which the message is."""


class Caller:
    """
    Calls a CPI as BOSH does: a process for each call.

    @ivar name: what the table calls it.
    """

    def __init__(self, name: str, cpi: CPI) -> None:
        self.name, self._cpi = name, cpi

    def call(self, method: str, *arguments: Any) -> Any:
        """
        Call, and return the result.

        @raise Refused: if the answer is an error.
        """
        return self.finish(self.start(method, *arguments))

    def start(self, method: str, *arguments: Any) -> subprocess.Popen[str]:
        """Start a call without waiting for its answer."""
        return self._cpi.start(method, *arguments)

    def finish(self, process: subprocess.Popen[str]) -> Any:
        """
        Wait for a call that was started, and return its result.

        @raise Refused: if the answer is an error.
        """
        answer = self._cpi.finish(process)
        if answer["error"] is not None:
            raise Refused(" ".join(answer["error"]["message"].split()))
        return answer["result"]

    def create_stemcell(self, image: Path) -> str:
        """Make a stemcell, and return its cid."""
        cid: str = self.call("create_stemcell", str(image), {})
        return cid

    def tidy(self, method: str, cid: str) -> None:
        """Remove what was measured with, or say that it may be left."""
        try:
            self.call(method, cid)
        except Refused as error:
            print(f"{cid} of {self.name} may be left, {method} was refused: {error}")


class Contender(Caller):
    """
    A CPI that is measured.

    @ivar stemcell: that of its VMs.
    """

    # What it answers without doing anything.
    does_nothing: frozenset[str] = frozenset()

    def __init__(self, name: str, cpi: CPI, image: Path) -> None:
        super().__init__(name, cpi)
        self._agents = count(1)
        self.stemcell = self.create_stemcell(image)

    def vm(self) -> list[Any]:
        """Return the arguments of create_vm for one more VM."""
        return vm_arguments(self.stemcell, agent_id=f"benchmark-{next(self._agents)}")

    def create_vm(self) -> str:
        """Make a VM that stays, and return its cid."""
        cid: str = self.call("create_vm", *self.vm())[0]
        return cid

    def mount(self, vm_cid: str, disk_cid: str) -> None:
        """Mount a disk in its VM, as an agent does, if the CPI leaves that to agents."""

    def settle(self) -> None:
        """Wait until nothing goes on that no answer waits for."""


class Ours(Contender):
    """This project's executable, and a daemon of it."""

    def __init__(self, daemon: Daemon, image: Path) -> None:
        self.daemon = daemon
        super().__init__(OURS, daemon.cpi, image)

    def mount(self, vm_cid: str, disk_cid: str) -> None:
        """Mount a disk in its VM, as an agent does."""
        vm = self.daemon.vm([vm_cid, {}])
        vm.run("mkdir", "-p", STORE)
        vm.run("mount", f"/dev/{disk_cid}", STORE)

    def settle(self) -> None:
        """Wait until nothing is being removed any more."""
        self.daemon.wait_for_removals(timeout=120)


class DockerCPI(Contender):
    """docker-cpi, and the daemon of Docker that it works with."""

    does_nothing = frozenset(("snapshot_disk", "delete_snapshot", "reboot_vm"))

    def vm(self) -> list[Any]:
        """Return the arguments of create_vm, in a network that docker-cpi makes."""
        network = {"type": "dynamic", "cloud_properties": {"name": NETWORK}}
        agent_id = f"benchmark-{next(self._agents)}"
        return vm_arguments(self.stemcell, {"default": network}, agent_id)


class DockerExecutable(CPI):
    """The executable of docker-cpi, which takes its configuration by an option."""

    def __init__(self, config: Path, executable: Path) -> None:
        super().__init__(config, executable)
        self._argv = [str(executable), "-configPath", str(config)]
        # By it docker-cpi knows that it writes the agent's settings itself.
        self.properties = {"vm": {"stemcell": {"api_version": 2}}}


@contextmanager
def docker_cpi(
    executable: Path, host: DockerHost, home: Path, image: Path
) -> Iterator[DockerCPI]:
    """Have docker-cpi work with a daemon of Docker for a while."""
    told = {
        "Actions": {
            "Docker": {"host": host.url, "api_version": host.api_version()},
            "Agent": {
                "Mbus": AGENT["mbus"],
                "NTP": AGENT["ntp"],
                "Blobstore": {
                    "Provider": "local",
                    "Options": {"blobstore_path": "/var/vcap/blobs"},
                },
            },
        },
    }
    config = home / "docker-cpi.json"
    config.write_text(json.dumps(told))
    contender = DockerCPI("docker-cpi", DockerExecutable(config, executable), image)
    try:
        yield contender
    finally:
        contender.tidy("delete_stemcell", contender.stemcell)
        try:
            host.remove_network(NETWORK)
        except OSError as error:
            print(f"the network {NETWORK} of Docker may be left: {error}")
