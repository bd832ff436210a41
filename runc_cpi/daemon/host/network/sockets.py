"""What the kernel knows of the other ends of connections, asked over netlink."""

from __future__ import annotations

import socket
import struct
from ipaddress import IPv4Address, IPv6Address

from zope.interface import implementer

from runc_cpi.daemon.entrance.interfaces import ISockets

Address = IPv4Address | IPv6Address

# linux/netlink.h, linux/rtnetlink.h, linux/sock_diag.h, linux/inet_diag.h
NETLINK_ROUTE = 0
NETLINK_SOCK_DIAG = 4
NLM_F_REQUEST = 1
NLMSG_ERROR = 2
SOCK_DIAG_BY_FAMILY = 20
RTM_GETROUTE = 26
RTA_DST = 1
RTN_LOCAL = 2
# linux/tcp_states.h: of a socket that is connected; it may have said all it has to say.
TCP_ESTABLISHED, TCP_FIN_WAIT1, TCP_FIN_WAIT2, TCP_CLOSE_WAIT = 1, 4, 5, 8
ANY_STATE = 0xFFFFFFFF
ANY_COOKIE = b"\xff" * 8

HEADER = struct.Struct("=IHHII")
DIAG_REQUEST = struct.Struct("=BBBxI")
PORTS = struct.Struct("!HH")
NUMBERS = struct.Struct("=IIIII")
ANSWER_SIZE = 8192


@implementer(ISockets)
class KernelSockets:
    """
    Asks the kernel, whose answer is there when the question is sent: 40 us each.

    Each question has a socket of its own, so that no answer is taken for another's.
    """

    def owner(
        self, address: Address, port: int, own_address: Address, own_port: int
    ) -> int | None:
        """
        Return the uid of who made the socket at the other end of a TCP connection.

        @param address: of that socket, in this network namespace.
        @param own_address: of our end.
        @return: L{None} if there is no such socket that is connected, or no process has
            it any more.
        """
        family = _family(address)
        question = b"".join(
            (
                DIAG_REQUEST.pack(family, socket.IPPROTO_TCP, 0, ANY_STATE),
                PORTS.pack(port, own_port),
                address.packed.ljust(16, b"\0"),
                own_address.packed.ljust(16, b"\0"),
                struct.pack("=I", 0),
                ANY_COOKIE,
            )
        )
        answer = _ask(NETLINK_SOCK_DIAG, SOCK_DIAG_BY_FAMILY, question)
        if answer is None:
            return None
        # struct inet_diag_msg: 4 bytes, then 48 that name the socket, then numbers.
        if PORTS.unpack_from(answer, 4) != (port, own_port):
            return (
                None  # the kernel names who listens at that port, if nobody else is there
            )
        # One that is about to connect from the same port is somebody else's.
        if answer[1] not in (TCP_ESTABLISHED, TCP_FIN_WAIT1, TCP_FIN_WAIT2):
            return None
        *_, uid, inode = NUMBERS.unpack_from(answer, 52)
        # The kernel calls a socket root's once its process has closed it.
        return int(uid) if inode else None

    def is_connected(self, connection: socket.socket) -> bool:
        """
        Say whether a connection is one still, and was not reset.

        @param connection: our end.
        """
        state = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
        return state in (TCP_ESTABLISHED, TCP_CLOSE_WAIT)  # struct tcp_info, linux/tcp.h

    def is_local(self, address: Address) -> bool:
        """Say whether an address is one of this host's own."""
        packed = address.packed
        question = struct.pack("=BBBBBBBBI", _family(address), len(packed) * 8, *[0] * 7)
        question += struct.pack("=HH", 4 + len(packed), RTA_DST) + packed
        answer = _ask(NETLINK_ROUTE, RTM_GETROUTE, question)
        return answer is not None and answer[7] == RTN_LOCAL  # rtm_type


def _family(address: Address) -> int:
    return socket.AF_INET if address.version == 4 else socket.AF_INET6


def _ask(protocol: int, kind: int, question: bytes) -> bytes | None:
    """
    Return what the kernel answers, or L{None} if that is an error.

    @raise OSError: if it takes no questions.
    """
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol) as netlink:
        size = HEADER.size + len(question)
        netlink.send(HEADER.pack(size, kind, NLM_F_REQUEST, 1, 0) + question)
        answer = netlink.recv(ANSWER_SIZE, socket.MSG_DONTWAIT)
    if HEADER.unpack_from(answer)[1] == NLMSG_ERROR:
        return None
    return answer[HEADER.size :]
