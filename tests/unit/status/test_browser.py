"""The page in a browser: with no VM, with one, and with many."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from twisted.internet import reactor
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from tests.harness.browser import PROGRAM, Browser, browser
from tests.unit.status.examples import HOSTILE, example
from tests.unit.status.serving import served

SHOWN = "document.getElementById('light').className === 'dot good'"
ROWS = "document.querySelectorAll('#{}-table tbody tr.row').length"
FIT = "document.documentElement.scrollWidth <= innerWidth"
# What makes the page ask at once.
AGAIN = "document.dispatchEvent(new Event('visibilitychange'))"
SCREENS = ((1280, "light"), (1280, "dark"), (360, "dark"))
MANY, UNREADABLE = 50, "vm-2b1d7d4c-8f3e-4a53-9d1c-5f0e6b7a8c90"
ALL = MANY + 1
# What nobody can tell apart by its role alone.
NAMED = {"button", "link", "image", "table", "region", "searchbox", "textbox", "combobox"}


def text(element: str) -> str:
    """Return an expression for what is written in an element."""
    return f"document.querySelector({element!r}).textContent"


@pytest.mark.skipif(PROGRAM is None, reason="needs chromium")
class BrowserTests(TestCase):
    """Chromium looks at a daemon's parts over a fake host."""

    timeout = 170

    async def look(
        self, number: int, drive: Callable[[Browser, str], None], *unreadable: str
    ) -> None:
        """
        Look at so many VMs.

        @param drive: is called in a thread with a browser and the URL.
        @param unreadable: the cids of more, whose records cannot be read.
        """
        directory = Path(os.path.abspath(self.mktemp()))
        made = await example(
            reactor, directory, number, hostile=number == 1, unreadable=unreadable
        )
        self.ages = {vm.name: vm.created_at for vm in made.vms}
        async with served(reactor, made.documents) as url:
            await deferToThread(self.drive, url, drive)

    def drive(self, url: str, drive: Callable[[Browser, str], None]) -> None:
        """Start a browser, and have it look on screens of all kinds."""
        with browser() as page:
            for width, scheme in SCREENS:
                page.look_as(width, 800, scheme)
                page.go(url)
                page.until(SHOWN)
                assert page.evaluate(FIT), (width, "the page is wider than the screen")
            drive(page, url)
            assert page.problems == []

    async def test_no_vm(self) -> None:
        """It says that there is none."""

        def drive(page: Browser, url: str) -> None:
            assert page.evaluate(text("#vms-none")) == "There are no VMs."
            assert page.evaluate("document.getElementById('vms-table').hidden")
            assert page.evaluate("document.title") == "0 VMs on cell-1.example.org"

        await self.look(0, drive)

    async def test_a_vm_whose_name_is_markup(self) -> None:
        """A name is shown as it is; what a VM has is shown when a key is pressed."""

        def drive(page: Browser, url: str) -> None:
            assert page.evaluate(text("#vms-table .more-button")) == HOSTILE
            assert page.evaluate("document.title") == "1 VM on cell-1.example.org"
            assert page.evaluate("document.images.length") == 0
            heard = page.heard()
            assert not [each for each in heard if each[0] in NAMED and not each[1]]
            # A table is one for who hears it, also where it is shown as cards.
            assert {"table", "row", "columnheader", "cell"} <= {role for role, _ in heard}
            # The first key takes whoever has a keyboard past what is above the VMs.
            page.press("Tab")
            assert page.evaluate("document.activeElement.className") == "skip"
            page.evaluate("document.querySelector('#vms-table .more-button').focus()")
            page.press("Enter")
            page.until("document.querySelectorAll('.detail .chart svg').length === 3")
            assert "443/tcp → 8443" in page.evaluate(text(".detail dl"))
            named = "document.activeElement.getAttribute('aria-expanded')"
            assert page.evaluate(named) == "true"
            lines = "[...document.querySelectorAll('.detail .line')]"
            drawn = page.evaluate(f"{lines}.map((line) => line.getAttribute('d').length)")
            assert min(drawn) > 500, drawn

        await self.look(1, drive)

    async def test_many_vms(self) -> None:
        """VMs are sorted and filtered, events are filtered; silence is told."""

        def drive(page: Browser, url: str) -> None:
            assert page.evaluate(ROWS.format("vms")) == ALL
            assert page.evaluate(ROWS.format("calls")) == 2
            assert page.evaluate(ROWS.format("disks")) == 4
            # Of the VM that does not run it is said how it ended.
            assert "was ended by signal 9" in page.evaluate(text("#vms-table tbody"))
            page.type("#search", "concourse")
            page.until(f"{ROWS.format('vms')} === 11")
            assert page.evaluate(text("#vms-count")) == f"11 of {ALL}"
            page.type("#search", "nothing like that")
            page.until(f"{text('#vms-none')} === 'No VM is like that.'")
            page.type("#search", " ")
            page.until(f"{ROWS.format('vms')} === {ALL}")
            self.sort(page)
            page.type("#deployment", "prometheus")
            page.until(f"{ROWS.format('events')} === 2")
            page.type("#request", "cpi-318207")
            page.until(f"{ROWS.format('events')} === 1")
            assert "AddressUnavailable" in page.evaluate(text("#events-table tbody"))
            self.go_silent(page)
            assert page.evaluate(ROWS.format("vms")) == ALL

        await self.look(MANY, drive, UNREADABLE)

    def go_silent(self, page: Browser) -> None:
        """Have the daemon answer no more, and then again."""
        page.set_network(is_there=False)
        page.evaluate(AGAIN)
        page.until("!document.getElementById('silent').hidden")
        told = page.evaluate(text("#silent"))
        assert "The daemon does not answer as it should: it cannot be reached." in told
        page.set_network(is_there=True)
        page.evaluate(AGAIN)
        page.until(f"document.getElementById('silent').hidden && {SHOWN}")
        # The browser itself complains of what cannot be fetched.
        unreached, page.problems = page.problems, []
        assert all("net::ERR_INTERNET_DISCONNECTED" in problem for problem in unreached)

    def sort(self, page: Browser) -> None:
        """Have the youngest VM first, the oldest, and the one that uses most memory."""
        assert self.sorted_by(page, "Age") == "ascending"
        rows = "[...document.querySelectorAll('#vms-table .more-button')]"
        names = page.evaluate(f"{rows}.map((each) => each.title)")
        youngest_first = sorted(self.ages, key=lambda name: self.ages[name], reverse=True)
        # When that one was made is not known.
        assert names == [*youngest_first, UNREADABLE]
        assert self.sorted_by(page, "Age") == "descending"
        names = page.evaluate(f"{rows}.map((each) => each.title)")
        assert names == [UNREADABLE, *reversed(youngest_first)]
        assert self.sorted_by(page, "Memory") == "descending"
        first = page.evaluate(text("#vms-table tbody tr.row"))
        assert first.strip("▸").startswith("diego-cell/"), first

    def sorted_by(self, page: Browser, name: str) -> str:
        """Press the heading of a column, and return which way the VMs are sorted then."""
        heads = "[...document.querySelectorAll('#vms-table th')]"
        head = f"{heads}.find((each) => each.textContent === {name!r})"
        page.evaluate(f"{head}.querySelector('button').click()")
        return str(page.evaluate(f"{head}.getAttribute('aria-sort')"))
