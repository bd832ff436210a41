"""
The errors that a Director or CLI is told, shared by the executable and the daemon.

An error crosses the wire as its class name and its one message; C{bosh_type} and
C{ok_to_retry} are looked up in the class on the other side.  The types are those the
Director knows (C{KNOWN_RPC_ERRORS} in its C{external_cpi.rb}); any other would reach
the user as "Unknown CPI error".
"""

from __future__ import annotations


class CPIError(Exception):
    """
    The request cannot be carried out as it stands.

    @cvar bosh_type: the type the Director is told.
    @cvar ok_to_retry: whether the very same call may succeed later.
    """

    bosh_type = "Bosh::Clouds::CpiError"
    ok_to_retry = False


class InvalidArgument(CPIError):
    """An argument or a configuration value is not what the contract allows."""


class NotSupported(CPIError):
    """The method is known, and this CPI will never do it."""

    bosh_type = "Bosh::Clouds::NotSupported"


class MethodNotImplemented(CPIError):
    """There is no such method."""

    bosh_type = "Bosh::Clouds::NotImplemented"


class CloudError(CPIError):
    """The host failed to do what was asked."""

    bosh_type = "Bosh::Clouds::CloudError"


class InternalError(CloudError):
    """
    The daemon has a fault.

    On the wire, the lines after the first one are a trace, for whoever is to mend it.
    """


class HostShort(CloudError):
    """The host has too little of something for the moment, or took too long."""

    ok_to_retry = True


class DaemonUnreachable(CloudError):
    """The daemon cannot be reached or hung up before it answered."""

    ok_to_retry = True


class DaemonSilent(DaemonUnreachable):
    """
    The daemon was sent the call, and answers nobody, for longer than a start may take.

    The same call would wait in vain as well, and both may be carried out later.
    """

    ok_to_retry = False


class DaemonSilentForNow(DaemonSilent):
    """The daemon did not begin TLS within the time of a start; nothing was asked of it."""

    ok_to_retry = True


class TLSRejected(CPIError):
    """The daemon or the CPI does not accept the other's certificate."""


class AccessRefused(CPIError):
    """The daemon takes no calls from there without TLS, or that client may only look."""


class StemcellNotFound(CloudError):
    """There is no such stemcell.  The Director has no type of its own for this."""


class StemcellInUse(CloudError):
    """VMs still run from the stemcell."""


class StemcellRejected(CloudError):
    """The image is not an archive of a root file system that can be booted."""


class AddressUnavailable(CloudError):
    """The address asked for cannot be given out, or none is left."""


class NetworkNotFound(CloudError):
    """There is no managed network with this C{network_cid}."""

    bosh_type = "Bosh::Clouds::NetworkNotFound"


class NetworkInUse(CloudError):
    """VMs still have addresses in the network."""


class PortUnavailable(CloudError):
    """A port of the host that is to be published is taken."""


class StillRunning(CloudError):
    """A container could not be stopped in time."""

    ok_to_retry = True


class VMNotFound(CloudError):
    """There is no VM with this C{vm_cid}."""

    bosh_type = "Bosh::Clouds::VMNotFound"


class DiskNotFound(CloudError):
    """There is no disk with this C{disk_cid}."""

    bosh_type = "Bosh::Clouds::DiskNotFound"


class DiskNotAttached(CloudError):
    """The disk is not attached to the VM."""

    bosh_type = "Bosh::Clouds::DiskNotAttached"


class DiskAttached(CloudError):
    """The disk is attached to a VM, and must not be for this."""


class DiskBusy(CloudError):
    """A process inside the VM still uses the disk."""

    ok_to_retry = True


class NoDiskSpace(CloudError):
    """The host's file system is full."""

    bosh_type = "Bosh::Clouds::NoDiskSpace"


class VMCreationFailed(CloudError):
    """The VM could not be made; nothing of it is left."""

    bosh_type = "Bosh::Clouds::VMCreationFailed"


class VMCreationFailedForNow(VMCreationFailed):
    """The VM could not be made now; the Director makes the same call again at once."""

    ok_to_retry = True


ALL = (
    CPIError,
    InvalidArgument,
    NotSupported,
    MethodNotImplemented,
    CloudError,
    InternalError,
    HostShort,
    DaemonUnreachable,
    DaemonSilent,
    DaemonSilentForNow,
    TLSRejected,
    AccessRefused,
    StemcellNotFound,
    StemcellInUse,
    StemcellRejected,
    AddressUnavailable,
    NetworkNotFound,
    NetworkInUse,
    PortUnavailable,
    StillRunning,
    VMNotFound,
    DiskNotFound,
    DiskNotAttached,
    DiskAttached,
    DiskBusy,
    NoDiskSpace,
    VMCreationFailed,
    VMCreationFailedForNow,
)

BY_CODE = {error.__name__: error for error in ALL}
