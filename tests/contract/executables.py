"""Running the executable as a director or the CLI does, and checking its output."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
# What a director's worker leaves of its environment.
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/", "TMPDIR": "/tmp"}
SCRIPT = Path(sys.executable).with_name("runc-cpi")
# As a BOSH job may start it: an interpreter that looks at nothing of its surroundings.
BARE = (
    sys.executable,
    "-I",
    "-S",
    "-c",
    f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
    "from runc_cpi.cpi.__main__ import main\nmain()",
)
# The same where Python has none of the private modules that make a call short.
WITHOUT_PRIVATE = (
    *BARE[:-1],
    """import builtins
import_ = builtins.__import__
def refuse(name, globals=None, *others, **named):
    ours = globals is not None and globals["__name__"].startswith("runc_cpi.")
    if ours and name in ("_json", "_socket", "_ssl", "posix"):
        raise ImportError(name)
    return import_(name, globals, *others, **named)
builtins.__import__ = refuse
"""
    + BARE[-1],
)
TIMEOUT = 30
STDERR_LIMIT = 500


@dataclass(frozen=True, kw_only=True)
class Response:
    """What the executable answered."""

    result: Any
    error: dict[str, Any] | None
    # It tells how long a call took, so it does not make two responses differ.
    log: str = field(default="", compare=False)

    @property
    def type(self) -> str:
        """The type of the error, without the prefix of all types."""
        assert self.error is not None, f"no error but {self.result!r}"
        head, _, kind = self.error["type"].rpartition("::")
        assert head == "Bosh::Clouds"
        return str(kind)

    @property
    def message(self) -> str:
        """The message of the error."""
        assert self.error is not None, f"no error but {self.result!r}"
        return str(self.error["message"])


def judge(stdout: str) -> Response:
    """
    Read a response as strictly as the Director does.

    It must have three keys: C{log} a string, C{error} null or of exact types; and nothing
    around it.
    """

    def refuse(constant: str) -> Any:
        raise AssertionError(f"{constant} is not JSON")

    response = json.loads(stdout, parse_constant=refuse)
    assert response.keys() == {"result", "error", "log"}
    assert type(response["log"]) is str
    error = response["error"]
    if error is not None:
        assert response["result"] is None
        assert {key: type(value) for key, value in error.items()} == {
            "type": str,
            "message": str,
            "ok_to_retry": bool,
        }
    return Response(result=response["result"], error=error, log=response["log"])


def config_text(address: str, network_type: str = "unix") -> str:
    """Return a configuration that points to an address, and makes no second try."""
    return json.dumps(
        {"network_type": network_type, "address": address, "connect_timeout": 0}
    )


def request(method: str, *arguments: Any, **fields: Any) -> bytes:
    """Return a request."""
    body = {"method": method, "arguments": list(arguments), "context": {}, **fields}
    return json.dumps(body).encode()


def start(*arguments: str, argv: Any = BARE, **options: Any) -> subprocess.Popen[bytes]:
    """Start the executable."""
    return subprocess.Popen(
        [*argv, *arguments],
        env=ENVIRONMENT,
        cwd="/",
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # Whoever runs the tests may ignore it, and that would be inherited.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        **options,
    )


def end(process: subprocess.Popen[bytes], raw: bytes | None = None) -> Response:
    """Wait for the executable: status 0, one document on stdout, little on stderr."""
    with process:
        stdout, stderr = process.communicate(raw, timeout=TIMEOUT)
    assert process.returncode == 0, stderr
    assert len(stderr) < STDERR_LIMIT, stderr
    assert b"Traceback" not in stderr
    return judge(stdout.decode("ascii"))


def run(raw: bytes, *arguments: str, argv: Any = BARE) -> Response:
    """Give the executable a request, and return its response."""
    return end(start(*arguments, argv=argv, stdin=subprocess.PIPE), raw)


def without(number: int) -> Any:
    """Return a function that closes a descriptor of a child."""
    return lambda: os.close(number)
