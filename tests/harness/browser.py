"""A headless Chromium that tests look at pages with, by the Chrome DevTools Protocol."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from select import select
from time import monotonic
from typing import Any

PROGRAM = shutil.which("chromium")
PATIENCE = 60.0  # seconds
# Root has no sandbox; nothing is fetched but what a test asks for.
OPTIONS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--disable-dev-shm-usage", "--remote-debugging-pipe", "--hide-scrollbars"),
    *("--no-proxy-server", "--lang=en-GB"),
)
# It reads requests at 3, and writes answers at 4.
SCRIPT = 'in=$1 out=$2; shift 2; exec "$@" 3<&"$in" 4>&"$out"'


class Ended(Exception):
    """Chromium has ended."""


class Browser:
    """
    One page of a Chromium.

    All methods block, so they are for a thread where a reactor runs.

    @ivar problems: what the page has complained of on its console.
    """

    def __init__(self, requests: int, answers: int) -> None:
        self._requests, self._answers = requests, answers
        self._number, self._buffer = 0, b""
        self._session: dict[str, str] = {}
        self.problems: list[str] = []

    def open(self) -> None:
        """Make the page."""
        target = self._send("Target.createTarget", url="about:blank")["targetId"]
        attached = self._send("Target.attachToTarget", targetId=target, flatten=True)
        self._session = {"sessionId": attached["sessionId"]}
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._send(f"{domain}.enable")

    def _send(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        request = {"id": self._number, "method": method, "params": parameters}
        line = json.dumps({**request, **self._session}).encode() + b"\0"
        while line:
            line = line[os.write(self._requests, line) :]
        deadline = monotonic() + PATIENCE
        while True:
            answer = self._receive(deadline - monotonic())
            if answer.get("id") == self._number:
                assert "error" not in answer, (method, answer["error"])
                result: dict[str, Any] = answer["result"]
                return result

    def _receive(self, seconds: float) -> dict[str, Any]:
        """Return the next message; what the page complains of is kept."""
        while b"\0" not in self._buffer:
            readable, _, _ = select([self._answers], [], [], max(0, seconds))
            assert readable, "chromium does not answer"
            read = os.read(self._answers, 1 << 20)
            if not read:
                raise Ended
            self._buffer += read
        line, _, self._buffer = self._buffer.partition(b"\0")
        message: dict[str, Any] = json.loads(line)
        told = message.get("params", {})
        if message.get("method") == "Runtime.exceptionThrown":
            self.problems.append(json.dumps(told["exceptionDetails"]))
        elif message.get("method") == "Runtime.consoleAPICalled":
            self.problems.append(json.dumps(told["args"]))
        elif message.get("method") == "Log.entryAdded":
            self.problems.append(f"{told['entry']['text']} {told['entry'].get('url', '')}")
        return message

    def look_as(self, width: int, height: int, scheme: str, *, scale: float = 1) -> None:
        """
        Have a screen.

        @param width: pixels, as CSS counts them.
        @param height: pixels, as CSS counts them.
        @param scheme: C{dark} or C{light}.
        @param scale: pixels of the screen for each of these.
        """
        self._send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=scale,
            mobile=width < 600,
        )
        feature = {"name": "prefers-color-scheme", "value": scheme}
        self._send("Emulation.setEmulatedMedia", features=[feature])

    def set_network(self, *, is_there: bool) -> None:
        """Let it reach nobody, or all again."""
        self._send(
            "Network.emulateNetworkConditions",
            offline=not is_there,
            latency=0,
            downloadThroughput=-1,
            uploadThroughput=-1,
        )

    def go(self, url: str) -> None:
        """Go to a page."""
        answer = self._send("Page.navigate", url=url)
        assert "errorText" not in answer, answer

    def evaluate(self, expression: str) -> Any:
        """Return what an expression of JavaScript comes to."""
        answer = self._send(
            "Runtime.evaluate",
            expression=expression,
            returnByValue=True,
            awaitPromise=True,
            userGesture=True,
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def until(self, expression: str) -> None:
        """Wait until an expression is true."""
        deadline = monotonic() + PATIENCE
        waiting = f"new Promise((go) => setTimeout(() => go({expression}), 20))"
        while not self.evaluate(waiting):
            assert monotonic() < deadline, (expression, self.problems)

    def type(self, element: str, text: str) -> None:
        """Type a text into an input, in place of what it has."""
        self.evaluate(f"document.querySelector({json.dumps(element)}).select()")
        self._send("Input.insertText", text=text)

    def press(self, key: str) -> None:
        """Press a key, such as C{Tab} or C{Enter}."""
        text = {"text": "\r"} if key == "Enter" else {}
        code = {"Tab": 9, "Enter": 13}[key]
        for kind in ("keyDown", "keyUp"):
            self._send(
                "Input.dispatchKeyEvent",
                type=kind,
                key=key,
                code=key,
                windowsVirtualKeyCode=code,
                **(text if kind == "keyDown" else {}),
            )

    def heard(self) -> list[tuple[str, str]]:
        """Return what a screen reader tells: the role and the name of each part."""
        nodes = self._send("Accessibility.getFullAXTree")["nodes"]
        return [
            (str(node["role"]["value"]), str(node.get("name", {}).get("value", "")))
            for node in nodes
            if not node["ignored"]
        ]

    def screenshot(self) -> bytes:
        """Return what is seen, as PNG."""
        return base64.b64decode(self._send("Page.captureScreenshot")["data"])

    def close(self) -> None:
        """Have it end."""
        self._session = {}
        self._send("Browser.close")


@contextmanager
def browser() -> Iterator[Browser]:
    """
    Start a Chromium, and end it.

    @raise AssertionError: with what it complained of, if it ends by itself.
    """
    assert PROGRAM is not None, "chromium is not installed"
    with ExitStack() as stack:
        # It makes sockets in there, whose paths must be short.
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="chromium")))
        read_requests, requests = os.pipe()
        answers, write_answers = os.pipe()
        for descriptor in (requests, answers):
            stack.callback(os.close, descriptor)
        theirs = [beyond_the_usual(end) for end in (read_requests, write_answers)]
        with open(home / "stderr", "wb") as stderr:
            process = subprocess.Popen(
                [
                    *("bash", "-c", SCRIPT, "chromium", *map(str, theirs)),
                    *(PROGRAM, *OPTIONS, f"--user-data-dir={home / 'data'}"),
                ],
                env={**os.environ, "HOME": str(home), "TMPDIR": str(home), "TZ": "UTC"},
                pass_fds=theirs,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
            )
        stack.callback(end, process)
        for descriptor in theirs:
            os.close(descriptor)
        found = Browser(requests, answers)
        try:
            found.open()
            yield found
            found.close()
        except Ended:
            complaints = (home / "stderr").read_text("utf-8", "replace")
            raise AssertionError(f"chromium has ended: {complaints}") from None
        process.wait(PATIENCE)


def beyond_the_usual(descriptor: int) -> int:
    """Move a descriptor to a number that the shell does not redirect."""
    moved = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 10)
    os.close(descriptor)
    return moved


def end(process: subprocess.Popen[bytes]) -> None:
    """End it, if it has not ended."""
    if process.poll() is None:
        process.kill()
        process.wait()
