"""How the daemon reaches into VMs: L{IGuests}."""

from __future__ import annotations

from runc_cpi.daemon.vms.interfaces import IGuests
from runc_cpi.errors import CloudError, InvalidArgument
from tests.behaviour.case import VM, HostCase

SETTINGS = "/var/vcap/bosh/settings.json"


class Behaviour(HostCase):
    """Visits to the files of VMs."""

    interfaces = (IGuests,)

    async def test_run_returns_what_the_work_returns(self) -> None:
        """The result of the work is that of C{run}."""
        self.assertEqual(await self.guests.run(VM, lambda: 42), 42)

    async def test_an_error_of_the_kernel(self) -> None:
        """An C{OSError} of the work becomes a C{CloudError}."""

        def work() -> None:
            raise FileNotFoundError(2, "No such file or directory")

        with self.assertRaisesRegex(CloudError, "No such file"):
            await self.guests.run(VM, work)

    async def test_an_error_of_ours(self) -> None:
        """An error that is not the kernel's stays what it is."""

        def work() -> None:
            raise InvalidArgument("x")

        with self.assertRaises(InvalidArgument):
            await self.guests.run(VM, work)

    async def test_a_file_is_written_whole(self) -> None:
        """A second C{write} replaces what the first has written."""
        self.make_bundle()
        pid = await self.create()
        await self.guests.prepare(VM, pid, "/var/vcap/data/sys", "/var/vcap", [])
        await self.start()
        for content in ("a long text", "short"):
            await self.guests.write(VM, pid, SETTINGS, content)
            self.assertEqual(self.content_of(SETTINGS), content)
