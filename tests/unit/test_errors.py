"""The errors: what the Director is told of each, and that they can cross the wire."""

from __future__ import annotations

import pytest

from runc_cpi import errors

# KNOWN_RPC_ERRORS of the Director; any other type reaches users as "Unknown CPI error".
KNOWN_TO_THE_DIRECTOR = {
    "Bosh::Clouds::" + name
    for name in (
        "CpiError",
        "NotSupported",
        "NotImplemented",
        "CloudError",
        "VMNotFound",
        "NetworkNotFound",
        "NoDiskSpace",
        "DiskNotAttached",
        "DiskNotFound",
        "VMCreationFailed",
    )
}
# What the Director makes of each, and whether the same call may succeed later.
EXPECTED = {
    "CPIError": ("CpiError", False),
    "InvalidArgument": ("CpiError", False),
    "NotSupported": ("NotSupported", False),
    "MethodNotImplemented": ("NotImplemented", False),
    "CloudError": ("CloudError", False),
    "InternalError": ("CloudError", False),
    "HostShort": ("CloudError", True),
    "DaemonUnreachable": ("CloudError", True),
    "DaemonSilent": ("CloudError", False),
    "DaemonSilentForNow": ("CloudError", True),
    "TLSRejected": ("CpiError", False),
    "AccessRefused": ("CpiError", False),
    "StemcellNotFound": ("CloudError", False),
    "StemcellInUse": ("CloudError", False),
    "StemcellRejected": ("CloudError", False),
    "AddressUnavailable": ("CloudError", False),
    "NetworkNotFound": ("NetworkNotFound", False),
    "NetworkInUse": ("CloudError", False),
    "PortUnavailable": ("CloudError", False),
    "StillRunning": ("CloudError", True),
    "VMNotFound": ("VMNotFound", False),
    "DiskNotFound": ("DiskNotFound", False),
    "DiskNotAttached": ("DiskNotAttached", False),
    "DiskAttached": ("CloudError", False),
    "DiskBusy": ("CloudError", True),
    "NoDiskSpace": ("NoDiskSpace", False),
    "VMCreationFailed": ("VMCreationFailed", False),
    "VMCreationFailedForNow": ("VMCreationFailed", True),
}


def descendants(kind: type[errors.CPIError]) -> set[type[errors.CPIError]]:
    """Return C{kind} and all that derives from it in the module of errors."""
    found = {kind}
    for child in kind.__subclasses__():
        found |= descendants(child)
    return {each for each in found if each.__module__ == errors.__name__}


def test_every_error_is_listed_once() -> None:
    """An error that is not listed would arrive as a mere text."""
    assert set(errors.ALL) == descendants(errors.CPIError)
    assert len(errors.ALL) == len(set(errors.ALL)) == len(errors.BY_CODE)


def test_what_the_director_is_told() -> None:
    """The type and C{ok_to_retry} of each error are as meant, and no error is new."""
    told = {error.__name__: (error.bosh_type, error.ok_to_retry) for error in errors.ALL}
    meant = {
        name: ("Bosh::Clouds::" + kind, retry) for name, (kind, retry) in EXPECTED.items()
    }
    assert told == meant


@pytest.mark.parametrize("error", errors.ALL, ids=lambda error: error.__name__)
def test_an_error_is_made_of_one_text(error: type[errors.CPIError]) -> None:
    """The other side makes it so, and tells exactly this text."""
    text = "no such thing: 'x' \u2603"
    assert str(error(text)) == text
    assert errors.BY_CODE[error.__name__] is error
    assert error.bosh_type in KNOWN_TO_THE_DIRECTOR
    assert type(error.ok_to_retry) is bool
    assert error.__doc__


def test_what_a_caller_did_wrong_is_never_worth_a_retry() -> None:
    """The very same request would be as wrong the next time."""
    for error in (errors.InvalidArgument, errors.NotSupported, errors.MethodNotImplemented):
        assert not error.ok_to_retry
        assert not issubclass(error, errors.CloudError)
