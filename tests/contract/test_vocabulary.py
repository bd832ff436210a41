"""The commands of the executable and of the daemon agree."""

from __future__ import annotations

import keyword
from pathlib import Path
from typing import Any, cast

import pytest
from twisted.internet.task import Clock
from twisted.protocols import amp

from runc_cpi import errors
from runc_cpi.daemon.base.places import NOWHERE
from runc_cpi.daemon.base.tasks import TaskGroup
from runc_cpi.daemon.config import LimitsConfig
from runc_cpi.daemon.entrance.peer_log import PeerLog
from runc_cpi.daemon.entrance.viewers import Viewers
from runc_cpi.daemon.events.history import History, HistoryPolicy
from runc_cpi.daemon.rpc import commands
from runc_cpi.daemon.rpc.factory import CPIFactory
from runc_cpi.daemon.rpc.protocol import CPIProtocol
from runc_cpi.daemon.rpc.subjects import Subjects
from tests.contract.peers import COMMANDS


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_commands(command: type[amp.Command]) -> None:
    """Each command is documented, named like its class and answered by a responder."""
    assert command.__doc__
    assert command.__doc__ != amp.Command.__doc__
    assert command.commandName == command.__name__.encode()
    # Not an instance attribute is needed to look a responder up.
    nobody = cast(Any, None)
    clock = Clock()
    history = History.of(
        clock, TaskGroup(clock), Path("nowhere"), HistoryPolicy(1, 1), lambda _: NOWHERE
    )
    subjects = Subjects(
        stemcells=nobody,
        vms=nobody,
        disks=nobody,
        snapshots=nobody,
        networks=nobody,
        reconciler=nobody,
        history=history,
        power=nobody,
        usages=nobody,
    )
    peer_log = PeerLog(clock.seconds)
    house = CPIFactory(subjects, LimitsConfig(), peer_log, clock)
    protocol = CPIProtocol(subjects, LimitsConfig(), clock, peer_log, house, Viewers())
    assert protocol.locateResponder(command.commandName) is not None


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_arguments(command: type[amp.Command]) -> None:
    """Each command carries a request's id, and no name needs translation."""
    names = [name.decode() for name, _ in command.arguments]
    assert names.count("request_id") == 1
    for name in names + [name.decode() for name, _ in command.response]:
        assert name.isidentifier()
        assert not keyword.iskeyword(name.lower())
        assert not name.startswith("_")
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_errors_of_commands(command: type[amp.Command]) -> None:
    """Each command may end with each error, under its own name, and stay connected."""
    declared = {error: code.decode() for error, code in command.errors.items()}
    assert declared == {error: error.__name__ for error in errors.ALL}
    assert command.fatalErrors == {}


def test_errors_are_found_by_their_own_class() -> None:
    """
    Subclasses of errors come before their bases, since AMP takes the first that matches.
    """
    order = list(commands.WIRE_ERRORS)
    for later, error in enumerate(order):
        for earlier in order[:later]:
            assert not issubclass(error, earlier), f"{earlier} hides {error}"


def test_errors_of_all_modules_are_listed() -> None:
    """Each error class is in the list that crosses the wire."""
    waiting, found = [errors.CPIError], set()
    while waiting:
        kind = waiting.pop()
        found.add(kind)
        waiting += kind.__subclasses__()
    ours = {kind for kind in found if kind.__module__.startswith("runc_cpi.")}
    assert ours == set(errors.ALL) == set(commands.WIRE_ERRORS)
