"""Commands that only the operator's tool sends."""

from __future__ import annotations

from runc_cpi.daemon.rpc.commands.base import JSON, VM_CID, Command


class Repair(Command):
    """Make what there is agree with the records, and say what was done for that."""

    response = [(b"done", JSON()), (b"problems", JSON())]


class Status(Command):
    """Count what there is, and what was deleted and is not removed yet."""

    looks = True
    is_event = False
    response = [(b"status", JSON())]


class StopVM(Command):
    """Stop a VM, which stays down until it is started or rebooted."""

    arguments = [VM_CID]


class StartVM(Command):
    """Boot a VM that is down, on the file system that it had."""

    arguments = [VM_CID]


class MeasureVMs(Command):
    """Say what each VM that runs uses: processors, memory, disk and network."""

    looks = True
    is_event = False
    response = [(b"usages", JSON())]
