"""Commands about stemcells, and the uploads that they are made of."""

from __future__ import annotations

from twisted.protocols import amp

from runc_cpi.daemon.rpc.commands.base import (
    CLOUD_PROPERTIES,
    CONFIRMS,
    JSON,
    STEMCELL_CID,
    Command,
)

UPLOAD = (b"upload", amp.Integer())


class ImportStemcell(Command):
    """Make a stemcell of an open image file, passed over a unix socket."""

    method = "create_stemcell"
    # The file is claimed last: one that is left because of another argument is closed
    # with the connection.
    arguments = [CONFIRMS, CLOUD_PROPERTIES, (b"image", amp.Descriptor())]
    response = [STEMCELL_CID]


class FetchStemcell(Command):
    """Make a stemcell of the OCI image that its C{cloud_properties} name."""

    method = "create_stemcell"
    arguments = [CLOUD_PROPERTIES, CONFIRMS]
    response = [STEMCELL_CID]


class OpenStemcell(Command):
    """
    Begin to upload an image; the number is good on this connection alone.

    Who tells the image's C{size}, in bytes, is told whether L{NameStemcell} may make the
    rest needless.

    An upload is one event, though it takes many commands.
    """

    is_event = False
    arguments = [CLOUD_PROPERTIES, (b"size", amp.Integer(optional=True))]
    response = [UPLOAD, (b"wants_digest", amp.Boolean())]


class NameStemcell(Command):
    """
    Say which image is to be uploaded, by C{sha256:} and its hash, and its size in bytes.

    If it is unpacked here, the stemcell is made of that, and the upload ends.  If not,
    there is no C{stemcell_cid} in the answer, and the bytes that follow must be that image.
    """

    is_event = False
    arguments = [UPLOAD, (b"digest", amp.Unicode()), (b"size", amp.Integer()), CONFIRMS]
    response = [(b"stemcell_cid", amp.Unicode(optional=True))]


class WriteStemcell(Command):
    """
    Pass on the next bytes of an image.

    The answer comes once they are accepted downstream, so a sender that bounds its
    unanswered chunks is slowed to the pace of the disk.
    """

    is_event = False
    arguments = [UPLOAD, (b"data", amp.String())]


class CloseStemcell(Command):
    """End an upload, and make the stemcell of it."""

    is_event = False
    arguments = [UPLOAD, CONFIRMS]
    response = [STEMCELL_CID]


class DeleteStemcell(Command):
    """Delete a stemcell that no VM uses.  Deleting an unknown one succeeds."""

    arguments = [STEMCELL_CID]


class ListStemcells(Command):
    """Say which stemcells there are."""

    looks = True
    is_event = False
    response = [(b"stemcells", JSON())]
