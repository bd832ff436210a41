"""
The vocabulary between the CPI and the daemon: AMP commands, nothing that acts.

Each command is in the module of what it is about, and here by its name.
"""

from runc_cpi.daemon.rpc.commands.base import WIRE_ERRORS as WIRE_ERRORS
from runc_cpi.daemon.rpc.commands.base import Command as Command
from runc_cpi.daemon.rpc.commands.connection import *  # noqa: F403
from runc_cpi.daemon.rpc.commands.disks import *  # noqa: F403
from runc_cpi.daemon.rpc.commands.events import *  # noqa: F403
from runc_cpi.daemon.rpc.commands.networks import *  # noqa: F403
from runc_cpi.daemon.rpc.commands.operator import *  # noqa: F403
from runc_cpi.daemon.rpc.commands.stemcells import *  # noqa: F403
from runc_cpi.daemon.rpc.commands.vms import *  # noqa: F403

BY_NAME: dict[bytes, type[Command]] = {
    command.commandName: command for command in Command.__subclasses__()
}
