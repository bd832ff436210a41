"""What is around a host: a machine beyond it, and talks between any two of all these."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

from pyroute2 import IPRoute

from runc_cpi.daemon.host.namespaces import CLONE_NEWNET, inside

HOST, WORLD = "192.0.2.2", "192.0.2.1"
UPLINK, BEYOND = "uplink", "beyond"
PATIENCE = 5.0  # seconds, for what must answer
IMPATIENCE = 0.3  # seconds, for what must not
KINDS = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}
ROOM = 1024


@contextmanager
def new_namespace() -> Iterator[int]:
    """Return the pid of a process in a network namespace of its own."""
    process = subprocess.Popen(
        ["unshare", "--net", "sh", "-c", "echo; exec sleep 1000000"], stdout=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        with process.stdout:
            process.stdout.readline()
        yield process.pid
    finally:
        process.kill()
        process.wait()


@contextmanager
def world() -> Iterator[int]:
    """
    Connect the host to a machine that knows no way back to VMs.

    @return: the pid of a process in the machine's network namespace.
    """
    with ExitStack() as stack:
        pid = stack.enter_context(new_namespace())
        with IPRoute() as ip:
            peer = {"ifname": BEYOND, "net_ns_pid": pid}
            ip.link("add", ifname=UPLINK, kind="veth", peer=peer)
            stack.callback(_remove_uplink)
            _set_up(ip, UPLINK, HOST)
        with inside(pid, CLONE_NEWNET), IPRoute() as ip:
            _set_up(ip, BEYOND, WORLD)
        yield pid


def _set_up(ip: IPRoute, name: str, address: str) -> None:
    (index,) = ip.link_lookup(ifname=name)
    ip.addr("add", index=index, address=address, prefixlen=24)
    ip.link("set", index=index, state="up")


def _remove_uplink() -> None:
    with IPRoute() as ip:
        (index,) = ip.link_lookup(ifname=UPLINK)
        ip.link("del", index=index)


def new_socket(pid: int, protocol: str, address: str = "0.0.0.0") -> socket.socket:
    """Make a socket for an address in the network namespace of a process."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    if pid == os.getpid():
        return socket.socket(family, KINDS[protocol])
    with inside(pid, CLONE_NEWNET):
        return socket.socket(family, KINDS[protocol])


@contextmanager
def serving(
    pid: int, port: int, word: str, protocol: str = "tcp", address: str = "0.0.0.0"
) -> Iterator[None]:
    """
    Answer with a word, and with the address that the question came from.

    @param pid: a process in the network namespace where that is.
    """
    with new_socket(pid, protocol, address) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind((address, port))
        if protocol == "tcp":
            server.listen()
        thread = threading.Thread(target=_serve, args=(server, word, protocol))
        thread.start()
        try:
            yield
        finally:
            # This wakes the thread.
            with suppress(OSError):
                server.shutdown(socket.SHUT_RDWR)
            thread.join()


def _serve(server: socket.socket, word: str, protocol: str) -> None:
    with suppress(OSError):
        while True:
            if protocol == "udp":
                question, peer = server.recvfrom(ROOM)
                if not question:
                    return  # it was shut down
                server.sendto(f"{word} {peer[0]}".encode(), peer)
            else:
                connection, peer = server.accept()
                with connection:
                    connection.sendall(f"{word} {peer[0]}".encode())


def ask(
    pid: int, address: str, port: int, protocol: str = "tcp", patience: float = PATIENCE
) -> str:
    """
    Ask a server, and return its answer, or nothing if there is none.

    @param pid: a process in the network namespace where the question comes from.
    """
    with new_socket(pid, protocol, address) as client:
        client.settimeout(patience)
        with suppress(OSError):
            client.connect((address, port))
            if protocol == "udp":
                client.send(b"?")
            return client.recv(ROOM).decode()
    return ""


def is_silent(pid: int, address: str, port: int, protocol: str = "tcp") -> bool:
    """Say whether a server cannot be reached."""
    return not ask(pid, address, port, protocol, IMPATIENCE)
