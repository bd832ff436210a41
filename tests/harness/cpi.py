"""Calls through the real executable, as a Director makes them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from itertools import count
from pathlib import Path
from typing import Any

EXECUTABLE = Path(sys.executable).with_name("runc-cpi")
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
TIMEOUT = 120.0
API_VERSION = 2


class CPI:
    """
    Starts one process for each call, and checks the shape of each answer.

    @param config: the path of the executable's configuration.
    @ivar properties: those of the cpi-config's entry that the director names.
    """

    def __init__(self, config: Path, executable: Path = EXECUTABLE) -> None:
        self._argv = [str(executable), str(config)]
        self._numbers = count(1)
        self.last_request_id = ""
        self.properties: Mapping[str, Any] = {}

    def start(
        self, method: str, *arguments: Any, version: int = API_VERSION
    ) -> subprocess.Popen[str]:
        """Start a call without waiting for its answer."""
        self.last_request_id = f"cpi-{next(self._numbers):06}"
        request = {
            "method": method,
            "arguments": arguments,
            "context": {
                "director_uuid": "d",
                "request_id": self.last_request_id,
                **self.properties,
            },
            "api_version": version,
        }
        process = subprocess.Popen(
            self._argv,
            env=ENVIRONMENT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdin is not None
        process.stdin.write(json.dumps(request))
        process.stdin.close()
        # Closed and gone: communicate must not flush it once more.
        process.stdin = None
        return process

    def finish(self, process: subprocess.Popen[str]) -> dict[str, Any]:
        """Wait for a call that was started, and return its answer."""
        try:
            output, complaint = process.communicate(timeout=TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise
        assert process.returncode == 0, complaint
        answer: dict[str, Any] = json.loads(output)
        assert set(answer) == {"result", "error", "log"}
        assert isinstance(answer["log"], str)
        error = answer["error"]
        if error is not None:
            assert set(error) == {"type", "message", "ok_to_retry"}
            assert isinstance(error["type"], str)
            assert isinstance(error["message"], str)
            assert error["message"]
            assert isinstance(error["ok_to_retry"], bool)
        return answer

    def call(self, method: str, *arguments: Any, version: int = API_VERSION) -> Any:
        """Call, and return the whole answer."""
        return self.finish(self.start(method, *arguments, version=version))

    def ok(self, method: str, *arguments: Any, version: int = API_VERSION) -> Any:
        """Call, and return the result; an error fails the test."""
        answer = self.call(method, *arguments, version=version)
        assert answer["error"] is None, answer["error"]
        return answer["result"]

    def error(self, method: str, *arguments: Any) -> dict[str, Any]:
        """Call, and return the error, which there must be."""
        answer = self.call(method, *arguments)
        assert answer["error"] is not None, answer["result"]
        assert answer["result"] is None
        error: dict[str, Any] = answer["error"]
        return error
