"""Trials of calls in which the daemon dies, each at another step."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import count, takewhile
from typing import Any

from tests.harness.minor_steps import MINOR
from tests.reliability.model import CREATING, after
from tests.reliability.scenarios import SCENARIOS, Scenario
from tests.reliability.site import Site
from tests.reliability.world import World


def die_at_each_step(sites: list[Site], name: str, *, long: bool) -> int:
    """Let the daemon die at each step of a call; return how often it died."""
    scenario, numbers = SCENARIOS[name], count(1)
    sites = [sites[number] for number in scenario.sites]
    ignored = () if long else MINOR

    def work(site: Site) -> int:
        site.restore()
        own = count(1) if long and scenario.everywhere else numbers
        trials = (Trial(site, scenario, str(number), ignored) for number in own)
        return sum(takewhile(bool, (trial.run() for trial in trials)))

    with ThreadPoolExecutor(len(sites)) as pool:
        deaths = sum(pool.map(work, sites))
    assert deaths > 0
    return deaths


def die_at(site: Site, name: str, step: str) -> None:
    """Let the daemon die at a step of a call, by the step's name."""
    site.restore()
    assert Trial(site, SCENARIOS[name], step, ()).run(), f"no such step: {step}"


class Trial:
    """
    One call, and one death of the daemon.

    @param step: the step before which it dies, by its number or its name.
    @param ignored: steps that do not count, by their names or kinds.
    """

    def __init__(
        self, site: Site, scenario: Scenario, step: str, ignored: tuple[str, ...]
    ) -> None:
        self._site, self._scenario = site, scenario
        self._step, self._ignored = step, ignored
        self._arguments = scenario.prepare(site)
        self._before = site.observe()

    def run(self) -> bool:
        """
        Make the call, and check its result against the promise.

        @return: whether the daemon died; if not, there are no more steps.
        """
        try:
            return self._run()
        except Exception as error:
            log = self._site.daemon.log[-2000:]
            steps = self._site.steps()[-3:]
            raise AssertionError(f"step {self._step}: {steps}\n{log}") from error

    def _run(self) -> bool:
        site = self._site
        with site.dying(self._step, self._ignored):
            answer = self._call()
        answered = answer["error"] is None
        assert answered or answer["error"]["ok_to_retry"] is True, answer["error"]
        died = site.died(answered)
        if died:
            site.daemon.recover()
        world = site.observe()
        assert self._is_allowed(world, answered), (self._before, world)
        site.check(world)
        if died:
            self._repeat(world)
        site.clear()
        return died

    def _repeat(self, world: World) -> None:
        """
        Make the call once more: it succeeds, or its error says that it was carried out.
        """
        again = self._call()
        if again["error"] is None:
            final = self._site.observe()
            start = self._before if self._scenario.replaces else world
            assert final == self._outcome(start, final)
        else:
            assert again["error"]["type"] in self._scenario.done, again["error"]
            assert world != self._before, again["error"]
            assert world == self._outcome(self._before, world)

    def _call(self) -> dict[str, Any]:
        version = self._scenario.version
        answer: dict[str, Any] = self._site.cpi.call(
            self._scenario.method, *self._arguments, version=version
        )
        return answer

    def _is_allowed(self, world: World, answered: bool) -> bool:
        if answered:
            return world == self._outcome(self._before, world)
        return world in (self._before, self._outcome(self._before, world))

    def _outcome(self, before: World, now: World) -> World:
        """Return the world after the call, judged by what is new in it."""
        method, new = self._scenario.method, sorted(now.cids - before.cids)
        if method in CREATING and len(new) != 1:
            return before
        told = self._scenario.version > 1
        return after(before, method, self._arguments, "".join(new), told=told)
