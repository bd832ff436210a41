"""
A program of its own that reads a file out of a parcel (C{base/parcels.py}).

Two processes: one reads, and may hang where no signal reaches it.  The other holds
nothing of the file, counts the seconds of each read, and so ends in any case.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import stat
import sys
from collections.abc import Sequence

HEADER_SIZE = 512
CHUNK = 1 << 20
# What the reader tells the other: what it is about to do, and in the end what came of it.
READING, WRITING, DONE, FAILED = b"r", b"w", b"=", b"!"


def command(what: str, patience: float) -> Sequence[str]:
    """
    Return the command line.  It has the parcel as its standard input.

    @param what: C{head} to print the first L{HEADER_SIZE} bytes, with the file left in
        the parcel; C{all} to print the whole file.
    @param patience: after how many seconds without an answer to give the file up.
    """
    return (sys.executable, "-I", "-S", __file__, what, str(patience))


def main() -> None:
    """Read; what is wrong goes to standard error, with exit status 1."""
    only_head, patience = sys.argv[1] == "head", float(sys.argv[2])
    told, tell = os.pipe()
    reader = os.fork()
    if reader == 0:
        # Whoever waits for the end of these must not have to wait for this process.
        unwanted = (told, 1, 2) if only_head else (told, 2)
        for descriptor in unwanted:
            os.close(descriptor)
        try:
            _read(tell, only_head)
        finally:
            os._exit(0)
    os.close(tell)
    os.close(0)
    heard = _watch(told, patience)
    if heard[:1] != DONE:
        os.kill(reader, signal.SIGKILL)
        sys.exit(heard[1:].decode("utf-8", "replace") or "the reading broke off")
    os.write(1, heard[1:])


def _read(tell: int, only_head: bool) -> None:
    """Read, tell how that went, and let go of all but the file: closing it may hang."""
    try:
        os.write(tell, READING)
        image = _unpacked(socket.MSG_PEEK if only_head else 0)
        if only_head:
            message = DONE + os.pread(image, HEADER_SIZE, 0)
        else:
            _copy(image, tell)
            message = DONE
    except OSError as error:
        message = FAILED + f"cannot read the image: {error.strerror}".encode()
    except ValueError as error:
        message = FAILED + str(error).encode()
    os.write(tell, message)
    os.close(tell)
    if not only_head:
        os.close(1)


def _unpacked(flags: int) -> int:
    """
    Take the file out of the parcel, which is standard input.

    @raise ValueError: if it is no ordinary file.
    """
    parcel = socket.socket(fileno=os.dup(0))
    # socket.recv_fds would ignore the flags.
    _, [(_, _, descriptor)], _, _ = parcel.recvmsg(1, socket.CMSG_SPACE(4), flags)
    image = int.from_bytes(descriptor, sys.byteorder)
    if not stat.S_ISREG(os.fstat(image).st_mode):
        raise ValueError("the image is not an ordinary file")
    return image


def _copy(image: int, tell: int) -> None:
    """Print all of a file, and tell before each step which it is."""
    position = 0
    while data := os.pread(image, CHUNK, position):
        position += len(data)
        os.write(tell, WRITING)
        try:
            with memoryview(data) as rest:
                done = 0
                while done < len(rest):
                    done += os.write(1, rest[done:])
        except BrokenPipeError:
            return  # whoever reads this has enough, or will say what is wrong
        os.write(tell, READING)


def _watch(told: int, patience: float) -> bytes:
    """Return the reader's last word, or the complaint that its file does not answer."""
    heard, reads = b"", True
    while True:
        ready, _, _ = select.select([told], [], [], patience if reads else None)
        if not ready:
            seconds = f"{patience:g} s"
            text = f"the image cannot be read: no answer of its file system in {seconds}"
            return FAILED + text.encode()
        data = os.read(told, 4096)
        if not data:
            return heard
        heard += data
        steps = len(heard) - len(heard.lstrip(READING + WRITING))
        if steps:
            reads = heard[steps - 1 : steps] == READING
            heard = heard[steps:]


if __name__ == "__main__":
    main()
