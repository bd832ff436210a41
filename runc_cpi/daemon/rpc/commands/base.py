"""What all commands share: arguments, errors, and values of any size."""

from __future__ import annotations

import json
import re
from typing import Any, ClassVar

from twisted.protocols import amp

from runc_cpi import errors, json_text, wire

# AMP takes the first class that matches, so subclasses go before their bases.
WIRE_ERRORS: dict[type[Exception], bytes] = {
    error: error.__name__.encode("ascii")
    for error in sorted(errors.ALL, key=lambda error: -len(error.__mro__))
}


class JSON(amp.Argument):
    """A JSON value of any size: what AMP cannot hold in one value is cut into parts."""

    def retrieve(self, d: amp.AmpBox, name: bytes, proto: Any) -> bytes | None:
        """
        @raise InvalidArgument: if a value that is not optional is missing.
        """
        value = wire.join(name, d)
        if value is None and not self.optional:
            raise errors.InvalidArgument(f"{name.decode()}: missing")
        return value

    def fromString(self, inString: bytes) -> Any:
        """
        @raise InvalidArgument: if the bytes are not JSON.
        """
        try:
            return json_text.loads(inString)
        except ValueError as error:
            raise errors.InvalidArgument(f"not JSON: {error}") from None

    def toBox(
        self, name: bytes, strings: amp.AmpBox, objects: dict[str, Any], proto: Any
    ) -> None:
        """Add C{objects[name]} to C{strings}, cut into parts as needed."""
        value = objects.get(name.decode("ascii"))
        if value is None and self.optional:
            return
        strings.update(wire.split(name, json.dumps(value).encode("utf-8")))


# Where a word begins in a name such as SetVMMetadata.
_WORDS = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


class Command(amp.Command):
    """
    What all commands share.

    Each carries the Director's C{request_id}; the protocol reads it from the box and
    puts it on every log line, so responders are not bothered with it.

    @cvar method: what events call it; without one it is made of the name of the class.
    @cvar is_event: whether it is told of in the log and in the events.
    @cvar looks: whether it changes nothing, so that who may only look may call it.
    """

    method: ClassVar[str] = ""
    is_event: ClassVar[bool] = True
    looks: ClassVar[bool] = False

    arguments: ClassVar[list[tuple[bytes, amp.Argument]]] = []
    response: ClassVar[list[tuple[bytes, amp.Argument]]] = []
    errors = WIRE_ERRORS

    def __init_subclass__(cls) -> None:
        cls.arguments = [REQUEST_ID, *cls.arguments]
        cls.method = cls.method or _WORDS.sub("_", cls.__name__).lower()

    @classmethod
    def parseArguments(cls, box: amp.AmpBox, protocol: Any) -> dict[str, Any]:
        """
        Decode the arguments, less the C{request_id} and those that are left out.

        @raise InvalidArgument: if they do not fit the command.
        """
        try:
            arguments: dict[str, Any] = super().parseArguments(box, protocol)
        except KeyError as error:
            raise errors.InvalidArgument(f"missing argument: {error}") from None
        except (ValueError, TypeError) as error:
            raise errors.InvalidArgument(f"malformed argument: {error}") from None
        arguments.pop("request_id", None)
        for key, kind in cls.arguments:
            name = key.decode("ascii")
            if kind.optional and arguments.get(name, ...) is None:
                del arguments[name]
        return arguments


REQUEST_ID = (b"request_id", amp.Unicode(optional=True))
VM_CID = (b"vm_cid", amp.Unicode())
STEMCELL_CID = (b"stemcell_cid", amp.Unicode())
DISK_CID = (b"disk_cid", amp.Unicode())
CLOUD_PROPERTIES = (b"cloud_properties", JSON())
METADATA = (b"metadata", JSON())
# The caller will send Confirm; what was made is removed if it hangs up before.
CONFIRMS = (b"confirms", amp.Boolean(optional=True))
