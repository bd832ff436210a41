"""The library of nftables (libnftables(3)), called in this process: 0.1 ms a command."""

from __future__ import annotations

import ctypes
import errno
import os
from queue import LifoQueue
from threading import Lock
from typing import Any

from runc_cpi.daemon.host import spawning

NAME = "libnftables.so.1"
_DEFAULT = 0  # NFT_CTX_DEFAULT, nftables/libnftables.h
AT_ONCE = 2  # commands: those of the firewall, beside which somebody looks at the rules
# Contexts that nobody uses now, each with a socket.  They are not closed: the kernel lets
# no socket of netfilter go before it has cleared away what anybody removed, which takes 5
# to 15 ms (nft_rcv_nl_event, nf_tables_api.c).
_spare: LifoQueue[int] = LifoQueue()
_made = 0
_making = Lock()
# What the library says, in the words of strerror(3).
_ABSENT = os.strerror(errno.ENOENT)
_NOT_PERMITTED = os.strerror(errno.EPERM)


class NftablesUnusable(OSError):
    """The library is not there, or the kernel refuses; the message says what."""


class NotInTables(NftablesUnusable):
    """There is no such table, or the table has no such thing."""


class NotPermitted(NftablesUnusable):
    """Only root with C{CAP_NET_ADMIN} may even look."""


def prepare() -> None:
    """
    Make all contexts that there will be, while sockets still get low numbers.

    The library uses select(2), which knows no others (L{high_descriptors}).

    @raise NftablesUnusable: if the library is not there.
    """
    global _made
    library = _library()
    with _making:
        if _made == AT_ONCE:
            return
        while _made < AT_ONCE:
            _spare.put(_new_context(library))
            _made += 1
        spawning.close_at_exec()  # the library does not see to that


def run(commands: str) -> str:
    """
    Carry commands out, all or none (nft(8)); this blocks.

    All callers are in one network namespace.  If there are more than L{AT_ONCE}, they wait.

    @return: what they print.
    @raise NotInTables: if they name what there is not.
    @raise NotPermitted: if this process may not even look.
    @raise NftablesUnusable: saying why they were refused otherwise.
    """
    if os.geteuid() != 0:
        # The library would say so by itself, on stderr.
        raise NotPermitted(f"nftables: {_NOT_PERMITTED}")
    prepare()
    library, context = _library(), _spare.get()
    try:
        status = library.nft_run_cmd_from_buffer(context, commands.encode("ascii"))
        # To read them empties them, for whoever is next.
        printed: bytes = library.nft_ctx_get_output_buffer(context)
        error: bytes = library.nft_ctx_get_error_buffer(context)
    finally:
        _spare.put(context)
    if status != 0:
        # The lines that follow show the command.
        reason = error.decode("utf-8", "replace").partition("\n")[0]
        raise _kind(reason)(f"nftables: {reason}")
    return printed.decode("utf-8", "replace")


def _kind(reason: str) -> type[NftablesUnusable]:
    if _NOT_PERMITTED in reason:
        return NotPermitted
    return NotInTables if _ABSENT in reason else NftablesUnusable


def _new_context(library: Any) -> int:
    context: int | None = library.nft_ctx_new(_DEFAULT)
    if not context:
        raise NftablesUnusable(f"{NAME}: no context can be made")
    library.nft_ctx_buffer_output(context)
    library.nft_ctx_buffer_error(context)
    return context


def _library() -> Any:
    """
    Return the library; the loader finds it again in no time.

    @raise NftablesUnusable: if it is not there.
    """
    try:
        library = ctypes.CDLL(NAME)
    except OSError as error:
        raise NftablesUnusable(str(error)) from None
    library.nft_ctx_new.restype = ctypes.c_void_p
    library.nft_run_cmd_from_buffer.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
    for stream in ("output", "error"):
        getattr(library, f"nft_ctx_buffer_{stream}").argtypes = [ctypes.c_void_p]
        get = getattr(library, f"nft_ctx_get_{stream}_buffer")
        get.argtypes, get.restype = [ctypes.c_void_p], ctypes.c_char_p
    return library
