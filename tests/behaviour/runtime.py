"""How containers behave: L{IRuntime}, and L{IFirstProcess} of their first processes."""

from __future__ import annotations

import signal
from collections.abc import Coroutine
from typing import Any

from twisted.internet.defer import Deferred

from runc_cpi.daemon.vms.interfaces import IFirstProcess, IRuntime
from runc_cpi.errors import CloudError
from tests.behaviour.case import VM, HostCase

SHORT = 0.05  # seconds
LONG = 30.0  # seconds


class Behaviour(HostCase):
    """Containers, from their making to their end."""

    interfaces = (IRuntime, IFirstProcess)

    async def run_vm(self) -> None:
        """Make a container, and have it run."""
        self.make_bundle()
        await self.create()
        await self.start()

    def process(self) -> IFirstProcess:
        """Return the container's first process, which must be alive."""
        process = self.find_process()
        assert process is not None
        return process

    async def assert_fails(self, work: Coroutine[Any, Any, object]) -> None:
        """The work ends with an error of the host."""
        with self.assertRaises(CloudError):
            await work

    async def test_a_container_is_known_until_it_is_deleted(self) -> None:
        """C{knows} and C{known} name a container from its making to its deletion."""
        self.assertFalse(self.runtime.knows(VM))
        self.assertEqual(list(self.runtime.known()), [])
        self.make_bundle()
        await self.create()
        self.assertTrue(self.runtime.knows(VM))
        self.assertEqual(list(self.runtime.known()), [VM])
        await self.delete()
        self.assertFalse(self.runtime.knows(VM))
        self.assertEqual(list(self.runtime.known()), [])

    async def test_the_first_process_lives_from_create_on(self) -> None:
        """C{find_process} finds it before the start, with the pid that create returned."""
        self.make_bundle()
        self.assertIsNone(self.find_process())
        pid = await self.create()
        self.assertEqual(self.process().pid, pid)
        await self.start()
        self.assertEqual(self.process().pid, pid)
        await self.delete()
        self.assertIsNone(self.find_process())

    async def test_deleting_an_unknown_container(self) -> None:
        """The deletion of a container that is not there is no error."""
        self.make_bundle()
        await self.delete()
        await self.create()
        await self.delete()
        await self.delete()

    async def test_an_announced_container(self) -> None:
        """It need not come, and may come at once."""
        self.runtime.anticipate()
        self.assertEqual(list(self.runtime.known()), [])
        self.make_bundle()
        self.runtime.anticipate()
        await self.create()
        await self.start()

    async def test_creating_a_container_twice(self) -> None:
        """A second container of the same name is refused."""
        self.make_bundle()
        await self.create()
        await self.assert_fails(self.create())

    async def test_starting_an_unknown_container(self) -> None:
        """A container that was not made cannot be started."""
        self.make_bundle()
        await self.assert_fails(self.start())

    async def test_a_new_container_of_the_same_name(self) -> None:
        """After a deletion a container can be made again, and it runs."""
        await self.run_vm()
        await self.delete()
        await self.create()
        await self.start()
        self.process()

    async def test_execute_tells_how_a_command_ended(self) -> None:
        """A command's outcome has its exit status."""
        await self.run_vm()
        self.assertEqual((await self.execute("/bin/busybox", "true")).status, 0)
        self.assertEqual((await self.execute("/bin/busybox", "false")).status, 1)

    async def test_execute_without_a_container(self) -> None:
        """A command in a container that does not run fails."""
        self.make_bundle()
        self.assertFalse((await self.execute("/bin/busybox", "true")).ok)

    async def test_waiting_for_the_end(self) -> None:
        """C{ended_within} says whether the process ended in the time given."""
        await self.run_vm()
        process = self.process()
        self.assertIs(await process.ended_within(SHORT), False)
        process.send(signal.SIGKILL)
        self.assertIs(await process.ended_within(LONG), True)
        self.assertIs(await process.ended_within(LONG), True)
        self.assertIsNone(self.find_process())

    async def test_waiting_without_a_limit(self) -> None:
        """Without a limit C{ended_within} returns when the process has ended."""
        await self.run_vm()
        process = self.process()
        waiting = Deferred.fromCoroutine(as_coroutine(process.ended_within(None)))
        self.assertNoResult(waiting)
        process.send(signal.SIGKILL)
        self.assertIs(await waiting, True)

    async def test_waiting_until_it_is_let_go(self) -> None:
        """C{close} has a waiting C{ended_within} say that the process did not end."""
        await self.run_vm()
        process = self.runtime.find_process(self.bundle)
        assert process is not None
        waiting = Deferred.fromCoroutine(as_coroutine(process.ended_within(None)))
        process.close()
        self.assertIs(await waiting, False)

    async def test_a_signal_to_a_process_that_ended(self) -> None:
        """A signal that comes too late is no error."""
        await self.run_vm()
        process = self.process()
        process.send(signal.SIGKILL)
        await process.ended_within(LONG)
        process.send(signal.SIGKILL)


async def as_coroutine(awaitable: Any) -> Any:
    """Return the result of anything that can be awaited."""
    return await awaitable
