"""Child processes: how they end is told apart, and none outlives its time."""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessDone
from twisted.internet.task import Clock, deferLater
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase

from runc_cpi.daemon.base.outcome import Outcome
from runc_cpi.daemon.host import spawning
from runc_cpi.daemon.host.processes import (
    INHERITED,
    MARK,
    STDERR_TAIL,
    STDOUT_LIMIT,
    Child,
    Lane,
    Processes,
)
from runc_cpi.errors import CloudError


def shell(script: str) -> list[str]:
    """Return the command line of a shell script."""
    return ["sh", "-c", script]


class ChildrenTests(TestCase):
    """Real children of the real reactor."""

    timeout = 20

    def setUp(self) -> None:
        self.mark = os.open(self.mktemp(), os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC)
        self.addCleanup(os.close, self.mark)
        self.processes = Processes(reactor, limit=2, mark=self.mark)

    async def run_to_end(self, script: str, timeout: float = 15.0) -> Outcome:
        """Run a shell script."""
        return await self.processes.run(shell(script), timeout=timeout)

    def spawn(self, script: str) -> Child:
        """Start a shell script with pipes."""
        return self.processes.spawn(
            shell(script), timeout=15, child_fds={0: "w", 1: "r", 2: "r"}
        )

    async def test_success(self) -> None:
        """A child that succeeds has status 0, and all that it wrote is kept."""
        outcome = await self.run_to_end("echo out; echo err >&2")
        self.assertTrue(outcome.ok)
        self.assertEqual((outcome.stdout, outcome.stderr), (b"out\n", b"err\n"))
        self.assertEqual((outcome.status, outcome.signal), (0, None))

    async def test_exit_status(self) -> None:
        """The exit status of a child is told with the end of what it wrote to stderr."""
        outcome = await self.run_to_end("echo one >&2; echo two >&2; exit 3")
        self.assertFalse(outcome.ok)
        self.assertEqual((outcome.status, outcome.signal), (3, None))
        self.assertEqual(outcome.complaint(), "sh: exit status 3: one: two")

    async def test_signal(self) -> None:
        """A signal that ended a child is told by its name, not as an exit status."""
        outcome = await self.run_to_end("kill -TERM $$")
        self.assertEqual((outcome.status, outcome.signal), (None, signal.SIGTERM))
        self.assertFalse(outcome.timed_out)
        self.assertEqual(outcome.complaint(), "sh: was ended by SIGTERM")

    async def test_signal_without_a_name(self) -> None:
        """A real-time signal that ended a child is told by its number."""
        outcome = await self.run_to_end(f"kill -{signal.SIGRTMIN + 3} $$")
        self.assertIn(str(signal.SIGRTMIN + 3), outcome.ending)

    async def test_timeout(self) -> None:
        """A child whose time is up is killed, and its outcome says so."""
        outcome = await self.run_to_end("exec sleep 60", timeout=0.05)
        self.assertTrue(outcome.timed_out)
        self.assertEqual(outcome.signal, signal.SIGKILL)
        self.assertIn("took too long", outcome.complaint())

    async def test_timeout_with_descendants(self) -> None:
        """
        A child's own child that holds the pipe does not keep the call waiting.

        Else one such call would hold its slot for as long as that process likes.
        """
        outcome = await self.run_to_end("sleep 5 & exit 0", timeout=0.2)
        self.assertEqual(outcome.status, 0)

    test_timeout_with_descendants.timeout = 3  # type: ignore[attr-defined]

    async def test_missing_program(self) -> None:
        """A program that is not there is named in the error, and its slot is free again."""
        for _ in range(3):
            with self.assertRaises(CloudError) as caught:
                await self.processes.run(["no-such-program", "x"], timeout=1)
            self.assertEqual(
                str(caught.exception),
                "cannot run no-such-program: No such file or directory",
            )

    async def test_program_that_cannot_run(self) -> None:
        """A file that is not executable is an error that says so."""
        path = self.mktemp()
        with open(path, "w", encoding="ascii"):
            pass
        with self.assertRaises(CloudError) as caught:
            await self.processes.run([os.path.abspath(path)], timeout=1)
        self.assertIn("Permission denied", str(caught.exception))

    async def test_stderr_is_bounded(self) -> None:
        """Only the end of what a child writes to stderr is kept."""
        script = "head -c 300000 /dev/zero | tr '\\0' x >&2; echo END >&2"
        outcome = await self.run_to_end(script)
        self.assertEqual(len(outcome.stderr), STDERR_TAIL)
        self.assertTrue(outcome.stderr.endswith(b"xxEND\n"))

    async def test_stdout_is_bounded(self) -> None:
        """What a child writes to stdout beyond the limit is dropped; it is not held up."""
        outcome = await self.run_to_end(f"head -c {STDOUT_LIMIT + 70000} /dev/zero")
        self.assertEqual((outcome.status, len(outcome.stdout)), (0, STDOUT_LIMIT))

    async def test_output_to_a_file(self) -> None:
        """A child that writes to a file is not waited for once it has ended."""
        path = self.mktemp()
        with open(path, "wb") as output:
            outcome = await self.processes.run(
                shell("echo out; echo err >&2; sleep 2 &"),
                timeout=15,
                output=output.fileno(),
            )
        self.assertEqual((outcome.status, outcome.stdout, outcome.stderr), (0, b"", b""))
        with open(path, "rb") as written:
            self.assertEqual(written.read(), b"out\nerr\n")

    async def test_stdin_is_empty(self) -> None:
        """A child that reads from stdin finds its end."""
        self.assertEqual((await self.run_to_end("cat")).stdout, b"")

    async def test_environment(self) -> None:
        """The environment of a child has nothing that a service manager gave the daemon."""
        self.patch(os, "environ", {**os.environ, "NOTIFY_SOCKET": "/x"})
        outcome = await self.processes.run([sys.executable, "-c", SHOW_ENV], timeout=15)
        passed_on = {name.encode() for name in INHERITED if name in os.environ}
        self.assertEqual(set(outcome.stdout.split()), {b"LC_ALL", b"PATH"} | passed_on)

    async def test_no_zombie_and_no_descriptor_stays(self) -> None:
        """A child that was waited for leaves no zombie and no descriptor."""
        await self.run_to_end("exit 0")
        before = os.listdir("/proc/self/fd")
        pids = []
        for script in ("exit 0", "exit 1", "kill -KILL $$"):
            child = self.spawn(script)
            pids.append(child.transport.pid)
            await child.ended
        self.assertEqual(len(os.listdir("/proc/self/fd")), len(before))
        for pid in pids:
            self.assertFalse(os.path.exists(f"/proc/{pid}"))

    async def test_the_next_daemon_can_wait_for_children(self) -> None:
        """A child and what it starts hold a descriptor that the next daemon waits for."""
        for dies in (True, False):
            outcome = await self.processes.run(
                shell(f"sh -c 'test -e /proc/self/fd/{MARK}'; exit $?"),
                timeout=15,
                dies_with_us=dies,
            )
            self.assertTrue(outcome.ok, dies)

    async def test_death_of_the_daemon(self) -> None:
        """A child dies with the daemon, unless it is to end what it began."""
        pid = await self._orphan(dies_with_us=True)
        while not _is_dead(pid):
            await deferLater(reactor, 0.01)
        pid = await self._orphan(dies_with_us=False)
        self.assertFalse(_is_dead(pid))
        os.kill(pid, signal.SIGKILL)

    async def _orphan(self, *, dies_with_us: bool) -> int:
        """Return the pid of a child of a daemon that was killed."""
        argv = [sys.executable, "-c", PARENT, str(int(dies_with_us))]
        outcome = await self.processes.run(argv, timeout=15)
        self.assertEqual(outcome.signal, signal.SIGKILL, outcome.stderr)
        return int(outcome.stdout)

    async def test_kill_after_the_end(self) -> None:
        """Killing a child that has ended does no harm."""
        child = self.spawn("exit 0")
        await child.ended
        child.kill()


def _is_dead(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
            return stat.read().rpartition(")")[2].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


PARENT = """
import os, signal, sys
from twisted.internet import reactor
from runc_cpi.daemon.host.processes import Processes
processes = Processes(reactor, limit=2, mark=0)
child = processes.spawn(
    ["sleep", "60"], timeout=90, child_fds={}, dies_with_us=bool(int(sys.argv[1]))
)
os.write(1, b"%d" % child.transport.pid)
# From then on the kernel knows what it is to do.
while open(f"/proc/{child.transport.pid}/comm").read() != "sleep\\n":
    pass
os.kill(os.getpid(), signal.SIGKILL)
"""
SHOW_ENV = "import os; print(*sorted(os.environ.keys() - {'LC_CTYPE'}))"


class Ended:
    """The transport of a child that a test ends."""

    def signalProcess(self, name: str) -> None:
        """Nothing is there to be killed."""


class SlotsTests(SynchronousTestCase):
    """How many run at once, without running any."""

    def setUp(self) -> None:
        self.reactor, self.children = Clock(), list[Child]()
        self.patch(spawning, "start", self.start)
        self.processes = Processes(self.reactor, limit=2, mark=0)

    def start(self, _: Clock, child: Child, *options: Any) -> None:
        """Start nothing; the test ends the child."""
        child.transport = Ended()
        self.children.append(child)

    def begin(self, lane: Lane = Lane.QUICK) -> Deferred[Outcome]:
        """Begin to run a child."""
        return Deferred.fromCoroutine(self.processes.run(["true"], timeout=5, lane=lane))

    def end(self, number: int) -> None:
        """End a child."""
        self.children[number].processEnded(Failure(ProcessDone(0)))

    def test_no_more_than_the_limit(self) -> None:
        """A child beyond the limit waits until another one has ended."""
        running = [self.begin() for _ in range(3)]
        self.assertEqual(len(self.children), 2)
        self.end(1)
        self.assertTrue(self.successResultOf(running[1]).ok)
        self.assertEqual(len(self.children), 3)
        self.assertNoResult(running[2])
        self.end(0)
        self.end(2)
        self.assertTrue(self.successResultOf(running[2]).ok)

    def test_one_kind_holds_up_no_other(self) -> None:
        """A child that copies for minutes, or waits, leaves room for quick ones."""
        running = [self.begin(lane) for lane in Lane for _ in range(3)]
        # All three that wait for something else, and two of each that works.
        self.assertEqual(len(self.children), 7)
        for number in range(9):
            self.end(number)
        for each in running:
            self.assertTrue(self.successResultOf(each).ok)

    def test_waiting_takes_no_time_of_the_child(self) -> None:
        """The time of a child runs from its start, not from the call."""
        running = [self.begin() for _ in range(3)]
        self.end(0)
        self.reactor.advance(4)
        self.end(1)
        self.end(2)
        self.assertFalse(self.successResultOf(running[2]).timed_out)

    def test_no_alarm_stays(self) -> None:
        """A child that has ended leaves no timer."""
        running = self.begin()
        self.end(0)
        self.successResultOf(running)
        self.assertEqual(self.reactor.getDelayedCalls(), [])
