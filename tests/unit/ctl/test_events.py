"""C{runc-cpictl events} and C{calls}, over a daemon that answers as the test says."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from runc_cpi.ctl.events import PAGE, PATIENCE, SHOWN, SHOWN_BEFORE_FOLLOWING
from runc_cpi.ctl.moments import Moment
from runc_cpi.ctl.operator import Operator
from tests.unit.ctl.invoking import Tool

NOW = 1767225600.0  # 2026-01-01T00:00:00Z
CALL = {
    "method": "delete_vm",
    "cids": ["vm-1"],
    "request_id": "cpi-1",
    "deployment": "cf",
    "instance": "db/0",
    "seconds": 12.345,
    "state": "waiting for vm-1",
}


def event(number: int, **changes: Any) -> dict[str, Any]:
    """Return an event as the daemon tells it."""
    return {
        "number": number,
        "time": "2026-01-01T00:00:00.000Z",
        "source": "call",
        "method": "create_vm",
        "outcome": "failed",
        "request_id": "cpi-1",
        "deployment": "cf",
        "instance": "db/0",
        "cids": ["vm-1", "stemcell-1"],
        "seconds": 0.1234,
        "error": "CloudError",
        "text": "no\nroom\x1b",
        **changes,
    }


class Daemon:
    """Answers with events, and notes what it is asked for."""

    def __init__(self, number: int) -> None:
        self.events = [event(each) for each in range(1, number + 1)]
        self.news: list[Any] = []
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def ask(self, command: str, **arguments: Any) -> dict[bytes, bytes]:
        """Answer a command."""
        self.asked.append((command, arguments))
        answer = getattr(self, command)(**arguments)
        return {key.encode(): json.dumps(value).encode() for key, value in answer.items()}

    def ListEvents(self, limit: int, filters: Any, before: int = 1 << 60) -> dict[str, Any]:
        """Return the newest events."""
        wanted = [each for each in self.events if each["number"] < before]
        return {"events": wanted[-limit:], "last": len(self.events)}

    def FollowEvents(self, after: int, **_: Any) -> dict[str, Any]:
        """Return what comes next; at the end the operator presses Ctrl-C."""
        if not self.news:
            raise KeyboardInterrupt
        events, missed = self.news.pop(0)
        return {"events": events, "last": after + len(events) + missed, "missed": missed}

    def ListCalls(self) -> dict[str, Any]:
        """Return a call."""
        return {"calls": [CALL], "total": 1}


@pytest.fixture
def daemon(monkeypatch: pytest.MonkeyPatch) -> Daemon:
    """A daemon with more events than it tells at once."""
    daemon = Daemon(2 * PAGE + 7)
    monkeypatch.setattr(
        Operator, "ask", lambda _, command, **arguments: daemon.ask(command, **arguments)
    )
    return daemon


def told(tool: Tool, *arguments: str) -> list[int]:
    """Return the numbers of the events that the tool prints."""
    outcome = tool("events", "--output=json", *arguments)
    assert outcome.status == 0, outcome
    return [each["number"] for each in json.loads(outcome.stdout)["events"]]


def test_how_many(daemon: Daemon, tool: Tool) -> None:
    """So many events are shown as were asked for, the newest of all, page by page."""
    last = len(daemon.events)
    for limit in (0, 1, PAGE, PAGE + 1, 2 * PAGE, last, last + 9):
        expected = list(range(max(1, last - limit + 1), last + 1))
        assert told(tool, f"-n{limit}") == expected, limit
    assert len(told(tool)) == SHOWN
    assert told(tool, "--since=1d") == list(range(1, last + 1))
    daemon.events.clear()
    assert told(tool) == told(tool, "-n0") == []


def test_filters(daemon: Daemon, tool: Tool) -> None:
    """Filters are passed on as the daemon knows them."""
    told(
        tool,
        *("--method=create_vm", "--outcome=failed", "--deployment=cf", "--instance=db/0"),
        *("--cid=vm-1", "--request-id=cpi-1", "--since=2026-01-01T00:00:00Z", "-n1"),
    )
    ((_, arguments),) = daemon.asked
    assert arguments["filters"] == {
        "method": "create_vm",
        "outcome": "failed",
        "deployment": "cf",
        "instance": "db/0",
        "cid": "vm-1",
        "request_id": "cpi-1",
        "since": NOW,
    }
    assert "Invalid value for '--outcome'" in tool.refusal("events", "--outcome=maybe")


def test_a_table(daemon: Daemon, tool: Tool) -> None:
    """Each event is a line that says who, what, how long and why; nothing can be forged."""
    daemon.events = [event(1), event(2, seconds=None, error="", text="done", cids=[])]
    _, first, second = tool("events").stdout.splitlines()
    assert first.split() == [
        *("2026-01-01T00:00:00.000Z", "create_vm", "failed", "0.123", "s", "cf", "db/0"),
        *("vm-1,stemcell-1", "cpi-1", "CloudError:", "no", "room\\x1b"),
    ]
    assert second.split()[-2:] == ["cpi-1", "done"]


@pytest.mark.parametrize("output", ["table", "json", "yaml"])
def test_following(daemon: Daemon, tool: Tool, output: str) -> None:
    """The last events come first, then those that happen, until Ctrl-C ends it well."""
    last = len(daemon.events)
    daemon.news = [([event(last + 1)], 0), ([], 0), ([event(last + 9)], 7)]
    outcome = tool("events", "-f", "--output", output)
    assert outcome.status == 0
    assert outcome.stderr == "7 events went by too fast to be shown\n"
    found: list[Any]
    if output == "table":
        found = list(outcome.stdout.splitlines())
    elif output == "json":
        found = [json.loads(line) for line in outcome.stdout.splitlines()]
    else:
        found = list(yaml.safe_load_all(outcome.stdout))
    assert len(found) == SHOWN_BEFORE_FOLLOWING + 2
    if output != "table":
        assert [each["number"] for each in found[-3:]] == [last, last + 1, last + 9]
    asked = [arguments for command, arguments in daemon.asked if command == "FollowEvents"]
    assert [each["after"] for each in asked] == [last, last + 1, last + 1, last + 9]
    assert {each["seconds"] for each in asked} == {PATIENCE}


def test_calls(daemon: Daemon, tool: Tool) -> None:
    """Calls that are under way are shown with what they wait for, and for how long."""
    _, line = tool("calls").stdout.splitlines()
    told = "delete_vm waiting for vm-1 12.3 s cf db/0 vm-1 cpi-1"
    assert line.split() == told.split()
    assert json.loads(tool("calls", "-ojson").stdout) == {"calls": [CALL], "total": 1}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90s", NOW - 90),
        ("10m", NOW - 600),
        ("2h", NOW - 7200),
        ("1d", NOW - 86400),
        ("2026-01-01T00:00:00Z", NOW),
        ("2026-01-01T00:00:00.000z", NOW),
        ("2026-01-01", NOW),
        ("2026-01-01T01:00:00+01:00", NOW),
        ("2025-12-31 23:59", NOW - 60),
    ],
)
def test_moments(monkeypatch: pytest.MonkeyPatch, text: str, expected: float) -> None:
    """A moment is an age, or a date and time, of UTC unless it says otherwise."""
    monkeypatch.setattr("time.time", lambda: NOW)
    assert Moment().convert(text, None, None) == expected


@pytest.mark.parametrize("text", ["", "yesterday", "-5m", "10", "5w", "2026-13-01", "\x1b"])
def test_moments_that_are_none(tool: Tool, text: str) -> None:
    """What is no moment is refused, with what is one."""
    refusal = tool.refusal("events", f"--since={text}")
    assert "must be an age such as 90s, 10m, 2h or 1d, or a date" in refusal
