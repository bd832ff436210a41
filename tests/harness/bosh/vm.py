"""What runs in a director's VM: an agent and a director, for each VM that there is."""

from __future__ import annotations

import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from tests.harness.bosh.agent import Agent
from tests.harness.bosh.director import DirectorAPI
from tests.harness.bosh.serving import Answer, Request, Server

AGENT, API = 6868, 25555
INTERVAL = 0.05


class DirectorVM:
    """
    Puts an agent and a director into the VM of a daemon, whenever there is one.

    A VM that is started again gets the same ones: what they know is on its disk.

    @param work_dir: the daemon's.
    @param credentials: where bosh keeps what it made; the certificates are from there.
    @ivar agents: the agent of each VM by its id.
    @ivar api: the director, once there was a VM.
    @ivar begins_broken: whether it answers to no call that changes something, at first.
    """

    def __init__(self, work_dir: Path, credentials: Path) -> None:
        self._vms, self._credentials = work_dir / "vms", credentials
        self.agents: dict[str, Agent] = {}
        self.api: DirectorAPI | None = None
        self.begins_broken = False
        self._served: dict[str, tuple[str, list[Server]]] = {}
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def close(self) -> None:
        """End them all."""
        self._end.set()
        self._thread.join()
        for _, servers in self._served.values():
            _close(servers)

    def _watch(self) -> None:
        while not self._end.wait(INTERVAL):
            # A VM, or what is told of it, may come or go at any time.
            with suppress(OSError, KeyError, TypeError):
                self._look()

    def _look(self) -> None:
        found = {}
        for path in self._vms.glob("vm-*/pid"):
            with suppress(OSError):
                found[path.parent.name] = path.read_text("ascii").strip()
        for cid, (pid, servers) in list(self._served.items()):
            if found.get(cid) != pid or not Path(f"/proc/{pid}").exists():
                _close(servers)
                del self._served[cid]
        for cid, pid in found.items():
            if pid and cid not in self._served and Path(f"/proc/{pid}").exists():
                self._served[cid] = pid, self._serve(cid, int(pid))

    def _serve(self, cid: str, pid: int) -> list[Server]:
        known: Any = yaml.safe_load(self._credentials.read_text("utf-8"))
        agent = self.agents.setdefault(cid, Agent())
        if self.api is None:
            self.api = DirectorAPI(known["admin_password"])
            self.api.is_broken = self.begins_broken
        api = self.api
        pair = known["mbus_bootstrap_ssl"]

        def answer(request: Request) -> Answer:
            if agent.job_state != "running":
                return Answer(503, {"description": "the job is stopped"})
            return api.answer(request)

        servers = [Server(pid, AGENT, pair, agent.answer)]
        try:
            servers.append(Server(pid, API, known["director_ssl"], answer))
        except BaseException:
            _close(servers)
            raise
        return servers


def _close(servers: list[Server]) -> None:
    for server in servers:
        server.close()
