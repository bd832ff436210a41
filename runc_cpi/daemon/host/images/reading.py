"""
A program that reads the image file that is in a parcel (C{base/parcels.py}).

The file's file system may not answer, and then no signal ends a process that reads it.  So
the program is two processes.  The child, the reader, opens and reads the file.  The parent,
the watcher, holds nothing of the file: it measures how long each read takes, and ends in
any case.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import stat
import sys
from collections.abc import Collection, Sequence

HEADER_SIZE = 512  # bytes
CHUNK = 1 << 20  # bytes
# What the reader tells the watcher: what it does next, and last of all how it went.
READING, WRITING, DONE, FAILED = b"r", b"w", b"=", b"!"


def command(what: str, timeout: float, sizes: Collection[int] = ()) -> Sequence[str]:
    """
    Return the command line.  The program needs the parcel as its standard input.

    @param what: C{head} to print the first L{HEADER_SIZE} bytes, and leave the file in
        the parcel; C{hash} to print its hash and its size, and leave it there; C{all} to
        print the whole file, and its hash and its size on standard error.
    @param timeout: after so many seconds without an answer the file is given up.
    @param sizes: a file of another size, in bytes, is not hashed.
    """
    program = (sys.executable, "-I", "-S", __file__)
    return (*program, what, str(timeout), *map(str, sizes))


def main() -> None:
    """Print the file; what is wrong goes to standard error, with exit status 1."""
    what, timeout, sizes = sys.argv[1], float(sys.argv[2]), set(map(int, sys.argv[3:]))
    messages, to_watcher = os.pipe()
    reader = os.fork()
    if reader == 0:
        # Whoever waits for the end of these must not have to wait for a reader that hangs.
        not_needed = (messages, 2) if what == "all" else (messages, 1, 2)
        for descriptor in not_needed:
            os.close(descriptor)
        try:
            _read(to_watcher, what, sizes)
        finally:
            os._exit(0)
    os.close(to_watcher)
    os.close(0)
    result = _watch(messages, timeout)
    if result[:1] != DONE:
        os.kill(reader, signal.SIGKILL)
        sys.exit(result[1:].decode("utf-8", "replace") or "the reading broke off")
    os.write(2 if what == "all" else 1, result[1:])


def _read(to_watcher: int, what: str, sizes: Collection[int]) -> None:
    """
    Read the file, and tell the watcher how that went.

    All but the file is closed here: to close the file, as this process ends, may hang.
    """
    try:
        os.write(to_watcher, READING)
        image = _take_out(0 if what == "all" else socket.MSG_PEEK)
        if what == "head":
            result = DONE + os.pread(image, HEADER_SIZE, 0)
        elif what == "hash" and os.fstat(image).st_size not in sizes:
            result = DONE
        else:
            result = DONE + _copy(image, to_watcher, 1 if what == "all" else None)
    except OSError as error:
        result = FAILED + f"cannot read the image: {error.strerror}".encode()
    except ValueError as error:
        result = FAILED + str(error).encode()
    os.write(to_watcher, result)
    os.close(to_watcher)
    if what == "all":
        os.close(1)


def _take_out(flags: int) -> int:
    """
    Take the file out of the parcel, which is standard input.

    @param flags: of recv(2): with C{MSG_PEEK} the file also stays in the parcel.
    @return: a descriptor of the file.
    @raise ValueError: if it is no ordinary file.
    """
    parcel = socket.socket(fileno=os.dup(0))
    # socket.recv_fds would ignore the flags.
    _, [(_, _, descriptor)], _, _ = parcel.recvmsg(1, socket.CMSG_SPACE(4), flags)
    image = int.from_bytes(descriptor, sys.byteorder)
    if not stat.S_ISREG(os.fstat(image).st_mode):
        raise ValueError("the image is not an ordinary file")
    return image


def _copy(image: int, to_watcher: int, output: int | None) -> bytes:
    """
    Hash all of a file; before each read and each write, tell the watcher which.

    @param output: where to write the file to, if anywhere.
    @return: its hash and its size.
    """
    from hashlib import sha256  # not all that this program does needs it

    position, hashed = 0, sha256()
    while data := os.pread(image, CHUNK, position):
        position += len(data)
        os.write(to_watcher, WRITING)
        if output is not None and not _print(data, output):
            output = None
        hashed.update(data)
        os.write(to_watcher, READING)
    return f"{hashed.hexdigest()} {position}".encode("ascii")


def _print(data: bytes, output: int) -> bool:
    """Write bytes; return whether whoever reads them may want more."""
    try:
        with memoryview(data) as rest:
            done = 0
            while done < len(rest):
                done += os.write(output, rest[done:])
    except BrokenPipeError:
        return False  # it has enough, or will say what is wrong
    return True


def _watch(messages: int, timeout: float) -> bytes:
    """
    Wait for the reader's result.

    Only reads are timed: how long a write takes depends on whoever reads the output.

    @return: L{DONE} and what to print, L{FAILED} and a complaint, or nothing if the
        reader ended without a result.
    """
    received, is_reading = b"", True
    while True:
        ready, _, _ = select.select([messages], [], [], timeout if is_reading else None)
        if not ready:
            seconds = f"{timeout:g} s"
            text = f"the image cannot be read: no answer of its file system in {seconds}"
            return FAILED + text.encode()
        data = os.read(messages, 4096)
        if not data:
            return received
        received += data
        steps = len(received) - len(received.lstrip(READING + WRITING))
        if steps:
            is_reading = received[steps - 1 : steps] == READING
            received = received[steps:]


if __name__ == "__main__":
    main()
