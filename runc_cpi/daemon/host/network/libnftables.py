"""The library of nftables (libnftables(3)), called in this process: 0.3 ms a command."""

from __future__ import annotations

import ctypes
from typing import Any

NAME = "libnftables.so.1"
_DEFAULT = 0  # NFT_CTX_DEFAULT, nftables/libnftables.h


class NftablesUnusable(OSError):
    """The library is not there, or the kernel refuses; the message says what."""


def run(commands: str) -> str:
    """
    Carry commands out, all or none (nft(8)); this blocks.

    @return: what they print.
    @raise NftablesUnusable: saying why they were refused.
    """
    library = _library()
    context = library.nft_ctx_new(_DEFAULT)
    if not context:
        raise NftablesUnusable(f"{NAME}: no context can be made")
    try:
        library.nft_ctx_buffer_output(context)
        library.nft_ctx_buffer_error(context)
        status = library.nft_run_cmd_from_buffer(context, commands.encode("ascii"))
        if status != 0:
            error = library.nft_ctx_get_error_buffer(context).decode("utf-8", "replace")
            # The lines that follow show the command.
            raise NftablesUnusable(f"nftables: {error.partition(chr(10))[0]}")
        printed: bytes = library.nft_ctx_get_output_buffer(context)
        return printed.decode("utf-8", "replace")
    finally:
        library.nft_ctx_free(context)


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
    library.nft_ctx_free.argtypes = [ctypes.c_void_p]
    library.nft_run_cmd_from_buffer.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
    for stream in ("output", "error"):
        getattr(library, f"nft_ctx_buffer_{stream}").argtypes = [ctypes.c_void_p]
        get = getattr(library, f"nft_ctx_get_{stream}_buffer")
        get.argtypes, get.restype = [ctypes.c_void_p], ctypes.c_char_p
    return library
