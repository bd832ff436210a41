"""The rendered bin/cpi, started as the bosh CLI and the director start it."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any

from tests.harness.cpi import CPI


def is_cid(result: Any) -> bool:
    """Check that a value is a cid: a text that is not empty."""
    return isinstance(result, str) and result != ""


def is_vm(result: Any) -> bool:
    """Check that a value is the result of create_vm: a cid and networks."""
    vm_cid, networks = result
    return is_cid(vm_cid) and all(isinstance(value, dict) for value in networks.values())


# The check of each method's result; null for other methods.
RESULTS: dict[str, Callable[[Any], bool]] = {
    "create_stemcell": is_cid,
    "create_vm": is_vm,
    "has_vm": lambda result: isinstance(result, bool),
    "create_disk": is_cid,
    "has_disk": lambda result: isinstance(result, bool),
    # A hint: the director refuses an empty one.
    "attach_disk": is_cid,
    "get_disks": lambda result: all(map(is_cid, result)),
    "snapshot_disk": is_cid,
    "calculate_vm_cloud_properties": lambda result: isinstance(result, dict),
}
# The director takes other types as a failure to understand the CPI.
ERRORS = {
    f"Bosh::Clouds::{name}"
    for name in (
        "CpiError", "NotSupported", "NotImplemented", "CloudError", "VMNotFound",
        "NoDiskSpace", "DiskNotAttached", "DiskNotFound", "VMCreationFailed",
    )
}  # fmt: skip
# The director sends the VM's stemcell with these calls only.
ABOUT_VMS = {"create_vm", "delete_vm", "attach_disk", "detach_disk"}
# The whole environment that a director gives.
WIPED = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
STEMCELL = {"stemcell": {"api_version": 3}}


class Caller(CPI):
    """
    A caller that asks C{info} before each call, in a process of its own, as both callers
    do.

    @param argv: how bin/cpi is started. @param environment: what it is started with.
    """

    info_version: int | None = None
    version = 2

    def __init__(self, argv: Sequence[str | Path], environment: Mapping[str, str]) -> None:
        super().__init__(Path("/nonexistent"))
        self._argv = [str(word) for word in argv]
        self._environment = dict(environment)
        self._requests = count(1)
        self.methods: list[str] = []

    def context(self, method: str) -> dict[str, Any]:
        """Return the context of the next request."""
        raise NotImplementedError

    def start(
        self, method: str, *arguments: Any, version: int | None = None
    ) -> subprocess.Popen[str]:
        """Ask for info, and start a call without waiting for its answer."""
        info = self.finish(self.process(self.request("info", [], self.info_version)))
        assert info["error"] is None, info
        result = info["result"]
        assert isinstance(result["api_version"], int)
        assert all(isinstance(name, str) for name in result["stemcell_formats"])
        used = min(result["api_version"], self.version)
        self.methods.append(method)
        return self.process(self.request(method, list(arguments), version or used))

    def request(self, method: str, arguments: list[Any], version: int | None) -> str:
        """Return a request as the caller writes it."""
        request: dict[str, Any] = {"method": method, "arguments": arguments}
        request["context"] = self.context(method)
        if version is not None:
            request["api_version"] = version
        return json.dumps(request)

    def process(self, request: str) -> subprocess.Popen[str]:
        """Start a process, and write the request without a newline at its end."""
        process = subprocess.Popen(
            self._argv,
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert process.stdin is not None
        process.stdin.write(request)
        process.stdin.close()
        process.stdin = None
        return process

    def finish(self, process: subprocess.Popen[str]) -> dict[str, Any]:
        """Wait for the answer; the process must leave nothing else."""
        answer = super().finish(process)
        assert not session(process.pid), "a process goes on"
        assert answer["error"] is None or answer["error"]["type"] in ERRORS
        return answer

    def ok(self, method: str, *arguments: Any, version: int | None = None) -> Any:
        """Call, and return the result, which must be of the right kind."""
        answer = self.finish(self.start(method, *arguments, version=version))
        assert answer["error"] is None, answer["error"]
        result = answer["result"]
        right = RESULTS.get(method, lambda value: value is None)
        assert right(result), (method, result)
        return result

    def info(self) -> Any:
        """Call info alone."""
        return self.finish(self.process(self.request("info", [], self.info_version)))


class CLI(Caller):
    """
    C{bosh create-env}: the operator's environment, and directories of its own.

    @param jobs: where jobs were rendered to. @param packages: where compiled packages are.
    """

    # The CLI begins with version 1; the director names none.
    info_version = 1

    def __init__(self, jobs: Path, packages: Path) -> None:
        directories = {"BOSH_JOBS_DIR": str(jobs), "BOSH_PACKAGES_DIR": str(packages)}
        environment = {**os.environ, **directories}
        super().__init__([jobs / "runc_cpi" / "bin" / "cpi"], environment)

    def context(self, method: str) -> dict[str, Any]:
        """
        Return a context as the CLI does: without an id of the request, with the stemcell's
        version.
        """
        return {"director_uuid": "e1a7", "vm": STEMCELL}


class Director(Caller):
    """
    A director: hardly any environment, and releases below /var/vcap.

    @param argv: how to start bin/cpi there.
    """

    version = 3

    def __init__(
        self, argv: Sequence[str | Path], environment: Mapping[str, str] = WIPED
    ) -> None:
        super().__init__(argv, environment)
        self.properties: dict[str, Any] = {}

    def context(self, method: str) -> dict[str, Any]:
        """
        Return a context with an id of the request, and with the entry of a cpi-config.
        """
        self.last_request_id = f"cpi-{next(self._requests):06}"
        context: dict[str, Any] = {
            "director_uuid": "d1f3",
            "request_id": self.last_request_id,
        }
        if method in ABOUT_VMS:
            context["vm"] = STEMCELL
        return {**context, **self.properties}


def session(leader: int) -> list[int]:
    """Return the live processes of a session."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if int(fields[3]) == leader and fields[0] not in "ZX":
                found.append(int(entry.name))
    return found
