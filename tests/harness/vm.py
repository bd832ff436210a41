"""A VM as tests see it: from outside, and from inside through the runtime."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.harness.waiting import eventually

AGENT_PORT = 6868
TIMEOUT = 60.0
SETTINGS = "/var/vcap/bosh/warden-cpi-agent-env.json"


class VM:
    """
    A VM that was created.

    @param there: what runs a command where the VM's daemon is, if that is elsewhere.
    @param runtime: the OCI runtime of that daemon.
    @ivar cid: its name.
    @ivar networks: its networks, as create_vm returned them.
    """

    def __init__(
        self,
        cid: str,
        networks: Mapping[str, Any],
        work_dir: Path,
        there: Sequence[str] = (),
        runtime: str = "runc",
    ) -> None:
        self.cid, self.networks = cid, networks
        self.directory = work_dir / "vms" / cid
        root = str(work_dir / "runtime")
        self._runtime = [*there, runtime, "--root", root, "exec", cid]

    @property
    def address(self) -> str:
        """Its first address."""
        return str(next(n["ip"] for n in self.networks.values() if n["type"] != "vip"))

    @property
    def pid(self) -> int:
        """The pid of its first process, outside."""
        return int((self.directory / "pid").read_text("ascii"))

    def is_alive(self) -> bool:
        """Say whether its first process runs."""
        try:
            state = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            return False
        return state[0] not in "ZX"

    def attempt(self, *argv: str) -> subprocess.CompletedProcess[str]:
        """Run a command inside, whatever comes of it."""
        return subprocess.run(
            [*self._runtime, *argv],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )

    def run(self, *argv: str) -> str:
        """Run a command inside, which must succeed, and return what it prints."""
        outcome = self.attempt(*argv)
        assert outcome.returncode == 0, (argv, outcome.stdout, outcome.stderr)
        return outcome.stdout

    def shell(self, script: str) -> str:
        """Run a shell script inside, which must succeed."""
        return self.run("/bin/sh", "-ec", script)

    def read(self, name: str) -> str:
        """Read a file inside."""
        return self.run("cat", name)

    def look(self, name: str) -> str:
        """
        Read a file of a running VM from outside, which takes a tenth of L{read}.

        @param name: its path, which no link in the VM may lead elsewhere.
        """
        return Path(f"/proc/{self.pid}/root{name}").read_text()

    def answer(self, address: str | None = None) -> str:
        """Ask the agent for its agent_id, once."""
        where = (address or self.address, AGENT_PORT)
        with socket.create_connection(where, timeout=2) as connection:
            connection.settimeout(5)
            return connection.makefile().readline().strip()

    def try_answer(self) -> str:
        """Ask the agent for its agent_id; there is no answer until it is up."""
        try:
            return self.answer()
        except OSError:
            return ""

    def wait_for_agent(self) -> str:
        """Ask the agent for its agent_id until it answers."""
        return eventually(self.try_answer, f"the agent of {self.cid} answers", 30)

    def cgroups(self) -> dict[str, Path]:
        """Return the cgroup directories of its first process by controller."""
        directories = {}
        for line in Path(f"/proc/{self.pid}/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            name = controllers.removeprefix("name=") or "unified"
            base = Path("/sys/fs/cgroup", name)
            if not controllers and not base.is_dir():
                base = base.parent
            directories[name] = base / os.path.relpath(path, "/")
        return directories
