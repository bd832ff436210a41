"""The agent of a VM, and the data on its persistent disk."""

from __future__ import annotations

from tests.harness import agent
from tests.harness.agent import STORE
from tests.harness.vm import VM


class Agent(agent.Agent):
    """
    An agent, with a text on its store.

    @ivar vm: the VM that it is in.
    """

    def __init__(self, vm: VM) -> None:
        super().__init__(vm)
        self.vm = vm

    def size(self) -> int:
        """Return the size of the file system at the store, in MiB."""
        told = self.vm.run("df", "-P", "-m", STORE).splitlines()[-1].split()
        return int(told[1])

    def write(self, text: str) -> None:
        """Write a text to the store."""
        self.vm.shell(f"echo {text} >{STORE}/kept")

    def read(self) -> str:
        """Read the text from the store."""
        return self.vm.read(f"{STORE}/kept").strip()
