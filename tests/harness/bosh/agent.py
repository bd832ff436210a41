"""What a BOSH agent answers to create-env, over HTTPS, with a store of blobs."""

from __future__ import annotations

import io
import json
import tarfile
from hashlib import sha1
from typing import Any
from uuid import uuid4

from tests.harness.bosh.serving import Answer, Request

# What a call that takes its time comes to.
OUTCOMES: dict[str, Any] = {
    "stop": "stopped",
    "drain": 0,
    "apply": "applied",
    "run_script": {},
    "mount_disk": {},
    "unmount_disk": {},
    "migrate_disk": {},
    "add_persistent_disk": "added",
    "remove_persistent_disk": "removed",
}


class Agent:
    """
    The agent of one VM.

    @ivar job_state: C{running} or C{stopped}.
    @ivar jobs: the names of the jobs that were applied last.
    """

    def __init__(self) -> None:
        self.job_state = "stopped"
        self.jobs: list[str] = []
        self._blobs: dict[str, bytes] = {}
        self._tasks: dict[str, Any] = {}
        self._disks: list[str] = []

    def answer(self, request: Request) -> Answer:
        """Answer a request to the agent, or to its store of blobs."""
        if request.path.startswith("/blobs/"):
            return self._blob(request)
        called = json.loads(request.body)
        method, arguments = called["method"], called["arguments"]
        value = self._call(method, arguments)
        if value is None:
            return Answer(200, {"exception": {"message": f"unknown message {method}"}})
        return Answer(200, {"value": value})

    def _call(self, method: str, arguments: list[Any]) -> Any:
        if method == "ping":
            return "pong"
        if method == "get_state":
            return {"job_state": self.job_state, "networks": {}}
        if method == "list_disk":
            return self._disks
        if method == "get_task":
            return self._tasks[arguments[0]]
        if method == "start":
            self.job_state = "running"
            return "started"
        if method == "compile_package":
            return self._task({"result": self._compiled()})
        if method not in OUTCOMES:
            return None
        self._note(method, arguments)
        return self._task(OUTCOMES[method])

    def _note(self, method: str, arguments: list[Any]) -> None:
        if method == "stop":
            self.job_state = "stopped"
        elif method == "apply":
            jobs = arguments[0].get("job", {}).get("templates") or []
            self.jobs = [job["name"] for job in jobs]
        elif method == "mount_disk" and arguments[0] not in self._disks:
            self._disks.append(arguments[0])
        elif method in ("unmount_disk", "remove_persistent_disk"):
            self._disks = [cid for cid in self._disks if cid != arguments[0]]

    def _task(self, outcome: Any) -> Any:
        task = uuid4().hex
        self._tasks[task] = outcome
        return {"agent_task_id": task, "state": "running"}

    def _compiled(self) -> dict[str, str]:
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w:gz"):
            pass
        blob = uuid4().hex
        self._blobs[blob] = buffer.getvalue()
        return {"sha1": sha1(buffer.getvalue()).hexdigest(), "blobstore_id": blob}

    def _blob(self, request: Request) -> Answer:
        name = request.path.rpartition("/")[2]
        if request.method == "PUT":
            self._blobs[name] = request.body
            return Answer(201, b"")
        if name not in self._blobs:
            return Answer(404, b"")
        return Answer(200, self._blobs[name])
