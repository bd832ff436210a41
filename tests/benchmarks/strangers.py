"""
C{python -m tests.benchmarks.strangers PORT RATE SECONDS KIND ADDRESSES}: flood a daemon.

KIND is C{silent}, to hold connections and send nothing, or C{hello}, to begin TLS and send
no more. Prints how many connections a second it made.
"""

from __future__ import annotations

import socket
import sys
import time
from collections import deque
from contextlib import suppress

from tests.harness.certificates import client_hello

IP_BIND_ADDRESS_NO_PORT = 24  # ip(7); the socket module has no such name
HELD = 400
# Connections that wait for the kernel's answer, which takes a moment.
YOUNG = 50


def flood(port: int, rate: float, seconds: float, kind: str, addresses: int) -> float:
    """Connect at a rate a second, from a number of addresses; return the rate reached."""
    words = client_hello() if kind == "hello" else b""
    held: deque[socket.socket] = deque()
    young: deque[socket.socket] = deque()
    begin, made = time.monotonic(), 0
    while (passed := time.monotonic() - begin) < seconds:
        if made >= passed * rate:
            time.sleep(0.001)
            continue
        stranger = socket.socket()
        stranger.setblocking(False)
        number = made % addresses
        # Otherwise the search for a free port takes longer and longer.
        stranger.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
        stranger.bind((f"127.0.{number // 250}.{number % 250 + 1}", 0))
        with suppress(BlockingIOError):
            stranger.connect(("127.0.0.1", port))
        made += 1
        young.append(stranger)
        if len(young) > YOUNG:
            stranger = young.popleft()
            with suppress(OSError):
                stranger.send(words)
            held.append(stranger)
        if len(held) > HELD:
            held.popleft().close()
    return made / (time.monotonic() - begin)


def main() -> None:
    """Flood, and print the rate."""
    port, rate, seconds, kind, addresses = sys.argv[1:]
    made = flood(int(port), float(rate), float(seconds), kind, int(addresses))
    print(f"{made:.0f}")


if __name__ == "__main__":
    main()
