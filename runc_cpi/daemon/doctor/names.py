"""Names: whom VMs can ask for them, whether these answer, and who has the port for it."""

from __future__ import annotations

import selectors
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress

from runc_cpi.daemon.config import DaemonConfig
from runc_cpi.daemon.doctor.finding import Finding, Patient, fine, warning
from runc_cpi.daemon.host.dns import messages
from runc_cpi.daemon.host.name_servers import RESOLV_CONF, ResolvConf, name_servers
from runc_cpi.daemon.host.network import port_holders

SECONDS = 2.0  # for all servers together
# Datagrams get lost: each server is asked again as often.
TRIES = 2
RECEIVED = 4096  # bytes; an answer without EDNS has 512 at most
# Who serves the root of all names: any server knows that (RFC 1035, NS, IN).
QUESTION = b"\0\0\2\0\1"
RECURSION_DESIRED = 0x0100


def names(patient: Patient) -> Iterator[Finding]:
    """See whom VMs can ask for names, and who answers at the gateways."""
    config = patient.config
    servers = _of_host(config)
    if servers:
        yield fine("DNS", f"the host's name servers are {', '.join(servers)}")
    else:
        advice = f"name one in {RESOLV_CONF}, or dns for each network"
        yield warning("DNS", "the host names no server that VMs could use", advice)
    if patient.is_served or not config.dns_server:
        return
    for network in config.networks:
        holder = port_holders.holder(network.gateway, messages.PORT)
        if holder is not None:
            seen = f"port 53 of {network.gateway} is taken by {holder}"
            advice = "have it leave that address alone, or set dns_server: false"
            yield warning("DNS", seen, advice)


def answers(patient: Patient, port: int = messages.PORT) -> Iterator[Finding]:
    """Ask the name servers of the host and of the networks; this takes 2 s at most."""
    config = patient.config
    own = [str(server) for network in config.networks for server in network.dns]
    servers = list(dict.fromkeys((*_of_host(config), *own)))
    if not servers:
        return  # which names() says
    told = asked(servers, port)
    bad = [f"{server} {how}" for server, how in told.items() if how]
    if bad:
        advice = f"see {RESOLV_CONF}, dns of the networks, and what filters UDP port 53"
        yield warning("DNS answers", "; ".join(bad), advice)
    else:
        yield fine("DNS answers", f"come from {', '.join(servers)}")


def _of_host(config: DaemonConfig) -> Sequence[str]:
    """Return the host's name servers that VMs use, by its own or by themselves."""
    return ResolvConf(RESOLV_CONF).servers() if config.dns_server else name_servers()


def asked(servers: Sequence[str], port: int, seconds: float = SECONDS) -> Mapping[str, str]:
    """
    Ask name servers, all at once.

    @param servers: their addresses.
    @param seconds: how long to wait for all of them.
    @return: what is wrong with each; nothing if it answers.
    """
    told = dict.fromkeys(servers, f"does not answer within {seconds:g} s")
    header = messages.HEADER.pack(0, RECURSION_DESIRED, 1, 0, 0, 0)
    query = messages.randomly_numbered(header + QUESTION)
    with ExitStack() as stack:
        selector = stack.enter_context(selectors.DefaultSelector())
        for server in servers:
            try:
                selector.register(stack.enter_context(_towards(server, port)), 1, server)
            except (OSError, ValueError) as error:
                told[server] = f"cannot be asked: {getattr(error, 'strerror', error)}"
        for _ in range(TRIES):
            for key in selector.get_map().values():
                with suppress(OSError):
                    _way(key).send(query)
            _listen(selector, query, told, time.monotonic() + seconds / TRIES)
    return told


def _towards(server: str, port: int) -> socket.socket:
    """
    Return a socket that takes answers of one server alone.

    @raise OSError: if there is no way to it.
    """
    # Of a link-local address that has the number of its interface as well.
    (family, kind, _, _, address), *_ = socket.getaddrinfo(
        server, port, type=socket.SOCK_DGRAM, flags=socket.AI_NUMERICHOST
    )
    way = socket.socket(family, kind | socket.SOCK_NONBLOCK)
    try:
        way.connect(address)
    except BaseException:
        way.close()
        raise
    return way


def _way(key: selectors.SelectorKey) -> socket.socket:
    assert isinstance(key.fileobj, socket.socket), "only these were registered"
    return key.fileobj


def _listen(
    selector: selectors.BaseSelector, query: bytes, told: dict[str, str], end: float
) -> None:
    """Note who answers until a time, and listen to those no more."""
    while selector.get_map() and (left := end - time.monotonic()) > 0:
        for key, _ in selector.select(left):
            way = _way(key)
            try:
                message = way.recv(RECEIVED)
            except OSError as error:
                told[key.data] = f"cannot be asked: {error.strerror}"
            else:
                if not messages.answers(message, query, QUESTION):
                    continue
                failed = messages.code_of(message) == messages.SERVER_FAILURE
                told[key.data] = "answers that it fails" if failed else ""
            selector.unregister(way)
