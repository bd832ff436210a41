"""Calls that are under way, and events of what the daemon does by itself."""

from __future__ import annotations

import threading
from collections.abc import Collection
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import Logger, capturedLogs, eventAsText, globalLogPublisher
from twisted.python import threadable
from twisted.trial.unittest import SynchronousTestCase

from runc_cpi.daemon.base.calls import Call, current
from runc_cpi.daemon.base.locks import KeyedLock
from runc_cpi.daemon.base.log import request_id
from runc_cpi.daemon.base.places import NOWHERE, Place
from runc_cpi.daemon.base.repairs import PRUNED, Repairs
from runc_cpi.daemon.base.tasks import TaskGroup
from runc_cpi.daemon.events.calls import Calls, Problem
from runc_cpi.daemon.events.event import Event
from runc_cpi.daemon.events.from_log import LoggedEvents
from runc_cpi.daemon.events.journal import Journal
from runc_cpi.daemon.events.ring import Ring

VM = "vm-01234567-89ab-cdef-0123-456789abcdef"


def place_of(cids: Collection[str]) -> Place:
    """Return where the one VM there is belongs."""
    return Place("cf", "db/0") if VM in cids else NOWHERE


class Reactor(Clock):
    """A clock that keeps what threads ask for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[Any] = []

    def callFromThread(self, function: Any, *arguments: Any) -> None:
        """Keep it."""
        self.asked.append((function, arguments))


class HappeningTestCase(SynchronousTestCase):
    """A test that looks at events."""

    def setUp(self) -> None:
        self.reactor = Reactor()
        self.events: list[Event] = []
        ring = Ring(Path("nowhere"), 0)
        self.journal = Journal(self.reactor, TaskGroup(self.reactor), ring)
        self.journal.listen(self.events.append)
        stack = ExitStack()
        self.addCleanup(stack.close)
        self.log = stack.enter_context(capturedLogs())


class CallsTests(HappeningTestCase):
    """Calls from their beginning to their end."""

    def setUp(self) -> None:
        super().setUp()
        self.calls = Calls(self.reactor, self.journal, place_of)

    def lines(self) -> list[str]:
        """Return what was logged."""
        return [
            eventAsText(event, includeTimestamp=False, includeSystem=False)
            for event in self.log
        ]

    def test_a_call_that_succeeds(self) -> None:
        """A call has a line in the log when it begins and when it ends, and an event."""
        call = self.calls.begin("create_vm", ["stemcell-1"])
        self.assertEqual(self.calls.all(), [call])
        self.reactor.advance(1.5)
        self.assertEqual(self.calls.age(call), 1.5)
        self.assertEqual(self.events, [])
        self.calls.end(call, made=[VM])
        self.assertEqual(self.calls.all(), [])
        (event,) = self.events
        self.assertEqual((event.cids, event.seconds), ((VM, "stemcell-1"), 1.5))
        self.assertEqual((event.deployment, event.instance), ("cf", "db/0"))
        begin = "create_vm begins: stemcell-1"
        self.assertEqual(
            self.lines(), [begin, f"create_vm done in 1.500 s: {VM}, stemcell-1"]
        )

    def test_a_call_that_fails(self) -> None:
        """Why a call fails is in its event; the log has it from who found out."""
        call = self.calls.begin("has_vm", ["x\ny"])
        self.calls.end(call, problem=Problem("VMNotFound", "no\x1b"))
        (event,) = self.events
        told = (event.outcome, event.error, event.text, event.cids)
        self.assertEqual(told, ("failed", "VMNotFound", "no\\x1b", ("x\\ny",)))
        self.assertEqual(self.lines(), ["has_vm begins: x\\ny"])

    async def held(self, lock: KeyedLock, until: Deferred[None]) -> None:
        """Hold a lock until a Deferred fires."""
        async with lock(VM):
            await until

    def test_what_a_call_waits_for(self) -> None:
        """A call that waits for a lock says so; nobody else's call does."""
        lock, first, second = KeyedLock(), Deferred[None](), Deferred[None]()
        holding = Deferred.fromCoroutine(self.held(lock, first))
        call = Call(method="delete_vm", request_id="", began=0, cids=[VM])
        token = current.set(call)
        waiting = Deferred.fromCoroutine(self.held(lock, second))
        current.reset(token)
        self.assertEqual(call.state, f"waiting for {VM}")
        first.callback(None)
        self.assertEqual(call.state, "running")
        second.callback(None)
        self.successResultOf(holding)
        self.successResultOf(waiting)

    def test_a_wait_that_is_given_up(self) -> None:
        """A call whose wait for a lock is broken off waits no more."""
        lock, end = KeyedLock(), Deferred[None]()
        holding = Deferred.fromCoroutine(self.held(lock, end))
        call = Call(method="delete_vm", request_id="", began=0, cids=[VM])
        token = current.set(call)
        waiting = Deferred.fromCoroutine(self.held(lock, end))
        current.reset(token)
        waiting.cancel()
        self.failureResultOf(waiting)
        self.assertEqual(call.state, "running")
        end.callback(None)
        self.successResultOf(holding)


class LoggedEventsTests(HappeningTestCase):
    """Lines of the log that say what happened."""

    log_of_tests = Logger()

    def setUp(self) -> None:
        super().setUp()
        # As a reactor that runs has it.
        self.patch(threadable, "ioThread", threading.get_ident())
        observer = LoggedEvents(self.reactor, self.journal, place_of)
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)

    def test_lines_that_are_events(self) -> None:
        """A line that says what happened is an event, with what it is about."""
        token = request_id.set("cpi-7")
        self.log_of_tests.warn("{vm} has ended", vm=VM, happened="vm_ended")
        request_id.reset(token)
        self.log_of_tests.info("an ordinary line", vm=VM)
        (event,) = self.events
        told = (event.source, event.method, event.outcome, event.text, event.request_id)
        text = f"{VM} has ended"
        self.assertEqual(told, ("daemon", "vm_ended", "failed", text, "cpi-7"))
        self.assertEqual((event.cids, event.seconds), ((VM,), None))
        self.assertEqual((event.deployment, event.instance), ("cf", "db/0"))

    def test_repairs(self) -> None:
        """What is put right, and what cannot be, are events."""
        repairs = Repairs()
        repairs.did("put it back")
        repairs.failed("it cannot be")
        with repairs.attempt("removing it", happened=PRUNED):
            raise OSError("no")
        self.assertEqual(
            [(event.method, event.outcome) for event in self.events],
            [("repaired", "ok"), ("repaired", "failed"), ("pruned", "failed")],
        )

    def test_from_a_thread(self) -> None:
        """An event of a thread comes by way of the reactor."""
        happening = {"text": "x", "happened": "repaired"}
        thread = threading.Thread(
            target=lambda: self.log_of_tests.info("{text}", **happening)
        )
        thread.start()
        thread.join()
        self.assertEqual(self.events, [])
        ((function, arguments),) = self.reactor.asked
        function(*arguments)
        self.assertEqual([event.method for event in self.events], ["repaired"])
