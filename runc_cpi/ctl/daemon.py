"""C{runc-cpictl ping} and C{repair}."""

from __future__ import annotations

from twisted.protocols import amp

from runc_cpi.ctl.command import Answer, DaemonCommand
from runc_cpi.daemon.rpc import commands
from runc_cpi.printable import printable


class Ping(DaemonCommand):
    """The command C{ping}."""

    name = "ping"
    summary = "say whether the daemon is there"

    async def ask(self, peer: amp.AMP) -> Answer:
        """Ask for a sign of life."""
        answer: Answer = await peer.callRemote(commands.Ping)
        return answer

    def text(self, answer: Answer) -> str:
        """Tell the daemon's version."""
        return f"runc-cpid {answer['version']}"


class Repair(DaemonCommand):
    """The command C{repair}."""

    name = "repair"
    summary = "put right what a crash or a hand left amiss"

    async def ask(self, peer: amp.AMP) -> Answer:
        """Have the daemon look for what is amiss."""
        answer: Answer = await peer.callRemote(commands.Repair)
        return answer

    def text(self, answer: Answer) -> str:
        """Say what was put right, and what could not be."""
        texts = [*answer["done"], *(f"problem: {text}" for text in answer["problems"])]
        lines = [printable(text) for text in texts]
        done, problems = len(answer["done"]), len(answer["problems"])
        return "\n".join([*lines, f"{done} things put right, {problems} problems left"])
