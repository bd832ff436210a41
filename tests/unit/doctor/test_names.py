"""Whether name servers answer: asked on this host's loopback, or not there."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import pytest

from runc_cpi.daemon.config import DaemonConfig
from runc_cpi.daemon.doctor import names
from runc_cpi.daemon.doctor.finding import OK, WARNING, Patient
from runc_cpi.daemon.host.dns import messages
from runc_cpi.daemon.host.dns.messages import REFUSED, SERVER_FAILURE

SOON = 0.4  # seconds
NETWORK = {"name": "a", "cidr": "10.9.0.0/24", "bridge": "a0", "dns": ["127.0.0.1"]}
Answering = Callable[[bytes], bytes]


def with_code(code: int) -> Answering:
    """Return what answers queries with a code of RFC 1035."""
    return lambda query: messages.reply(query, code, query[messages.HEADER.size :])


@contextmanager
def serving(answer: Answering, lost: int = 0) -> Iterator[int]:
    """
    Answer queries on loopback.

    @param lost: how many of the first are lost.
    @return: the port.
    """
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("127.0.0.1", 0))

    def serve() -> None:
        for number in range(names.TRIES):
            query, peer = server.recvfrom(512)
            if not query:
                return
            if number >= lost:
                server.sendto(answer(query), peer)

    thread = Thread(target=serve)
    thread.start()
    port: int = server.getsockname()[1]
    try:
        yield port
    finally:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as end:
            end.sendto(b"", ("127.0.0.1", port))
        thread.join()
        server.close()


@pytest.mark.parametrize(
    ("code", "told"),
    [(0, ""), (REFUSED, ""), (SERVER_FAILURE, "answers that it fails")],
)
def test_answers(code: int, told: str) -> None:
    """A server that knows nothing of the root answers; one that fails is of no use."""
    with serving(with_code(code)) as port:
        assert names.asked(["127.0.0.1"], port) == {"127.0.0.1": told}


def test_a_datagram_that_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server is asked again; here more often, so that it has longer for its answer."""
    assert names.TRIES > 1
    monkeypatch.setattr(names, "TRIES", 100)
    with serving(with_code(0), lost=1) as port:
        assert names.asked(["127.0.0.1"], port, 20) == {"127.0.0.1": ""}


def test_a_server_on_a_link() -> None:
    """A link-local address has the name of its interface; here nobody answers there."""
    told = names.asked(["fe80::1%lo"], messages.PORT, 0)["fe80::1%lo"]
    assert "Invalid argument" not in told


def test_no_answer() -> None:
    """Silence, an answer to something else, and a closed port are told apart."""
    silent = "does not answer within 0.4 s"
    with serving(lambda query: b"\0" + query) as port:
        assert names.asked(["127.0.0.1"], port, SOON) == {"127.0.0.1": silent}
        found = names.asked(["127.0.0.2"], port, SOON)
    assert found == {"127.0.0.2": "cannot be asked: Connection refused"}


def test_findings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The servers of the host and of the networks are asked, each once."""
    resolv_conf = tmp_path / "resolv.conf"
    resolv_conf.write_text("nameserver 127.0.0.1\nnameserver 127.0.0.2\n")
    monkeypatch.setattr(names, "RESOLV_CONF", str(resolv_conf))
    config = DaemonConfig.parse({"networks": [NETWORK]})
    patient = Patient(config=config, is_served=True)
    with serving(with_code(0)) as port:
        (found,) = names.answers(patient, port)
    assert found.state == WARNING
    assert found.seen == "127.0.0.2 cannot be asked: Connection refused"
    resolv_conf.write_text("nameserver 127.0.0.1\n")
    with serving(with_code(0)) as port:
        (found,) = names.answers(patient, port)
    assert (found.state, found.seen) == (OK, "come from 127.0.0.1")
    resolv_conf.write_text("")
    bare = Patient(config=DaemonConfig.parse(None), is_served=True)
    assert list(names.answers(bare)) == []
