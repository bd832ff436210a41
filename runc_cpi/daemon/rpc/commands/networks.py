"""Commands about networks."""

from __future__ import annotations

from twisted.protocols import amp

from runc_cpi.daemon.rpc.commands.base import CLOUD_PROPERTIES, CONFIRMS, JSON, Command

NETWORK_CID = (b"network_cid", amp.Unicode())


class CreateNetwork(Command):
    """
    Make a network that is there until it is deleted.

    C{addresses} and C{cloud_properties} are what the Director stores of it.
    """

    arguments = [(b"subnet_definition", JSON()), CONFIRMS]
    response = [
        NETWORK_CID,
        (b"addresses", JSON()),
        CLOUD_PROPERTIES,
        (b"warnings", JSON(optional=True)),
    ]


class DeleteNetwork(Command):
    """Delete such a network that no VM is in."""

    arguments = [NETWORK_CID]


class ListNetworks(Command):
    """Say which networks there are, also those that are configured or that VMs describe."""

    looks = True
    is_event = False
    response = [(b"networks", JSON())]
