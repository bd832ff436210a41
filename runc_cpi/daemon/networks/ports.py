"""Published ports: what C{cloud_properties.ports} says, in the ways of two other CPIs."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any, Generic, TypeVar

from typing_extensions import Self

from runc_cpi.daemon.networks.model import Address
from runc_cpi.errors import InvalidArgument

WHERE = "cloud_properties.ports"
PROTOCOLS = ("tcp", "udp")
MOST_PORTS = 65535
# Each port is an entry of its own in the kernel.
MOST_PUBLISHED = 4096
# All addresses of a kind of IP.
ANYWHERE: Mapping[int, Address] = {4: IPv4Address(0), 6: IPv6Address(0)}
KEYS = ("host", "container", "protocol")
ACCEPTED = (
    '"CONTAINER", "HOST:CONTAINER" or "ADDRESS:HOST:CONTAINER", each with "/tcp" or "/udp" '
    "behind it or nothing, or an object of host, container and protocol; HOST and "
    "CONTAINER are ports or ranges such as 1000-2000, ADDRESS is one of IPv4, or of IPv6 "
    "in brackets"
)

Holder = TypeVar("Holder")


@dataclass(frozen=True, kw_only=True)
class PublishedPort:
    """
    Ports of the host that lead to a VM: one, or several in a row.

    @ivar protocol: C{tcp} or C{udp}.
    @ivar address: the host's address that they are published at, one of L{ANYWHERE} for
        all of its kind, or L{None} for all.
    @ivar first: the first port of the host.
    @ivar last: the last port of the host.
    @ivar container: the VM's port that the first one leads to.
    """

    protocol: str
    address: Address | None
    first: int
    last: int
    container: int

    def __str__(self) -> str:
        ports = str(self.first) if self.first == self.last else f"{self.first}-{self.last}"
        if self.address is not None:
            is_ipv6 = self.address.version == 6
            ports = f"[{self.address}]:{ports}" if is_ipv6 else f"{self.address}:{ports}"
        return f"{ports}/{self.protocol}"

    @property
    def places(self) -> Collection[Address]:
        """The addresses that they are published at; see L{ANYWHERE}."""
        return ANYWHERE.values() if self.address is None else (self.address,)

    def is_at(self, address: Address) -> bool:
        """Say whether they are published at an address, or at one of L{ANYWHERE}."""
        anywhere = ANYWHERE[address.version]
        of_kind = [place for place in self.places if place.version == address.version]
        return any(anywhere in (place, address) or place == address for place in of_kind)

    @property
    def numbers(self) -> range:
        """The ports of the host."""
        return range(self.first, self.last + 1)

    def to_json(self) -> dict[str, Any]:
        """Return what a VM's record holds."""
        address = None if self.address is None else str(self.address)
        return {**vars(self), "address": address}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Self:
        """
        Read what L{to_json} returned.

        @raise TypeError: if it is something else.
        @raise ValueError: if its address is none.
        """
        address = record["address"]
        return cls(
            **{**record, "address": None if address is None else ip_address(address)}
        )


class HeldPorts(Generic[Holder]):
    """Who holds which port of the host; a question takes no longer if there are many."""

    def __init__(self) -> None:
        # By the address that a port is held at; see ANYWHERE.
        self._holders: dict[tuple[str, int], dict[Address, Holder]] = {}

    def holder(self, port: PublishedPort) -> Holder | None:
        """Return who holds one of these ports, or L{None} if nobody does."""
        for number in port.numbers:
            holders = self._holders.get((port.protocol, number), {})
            for place, holder in holders.items():
                if port.is_at(place):
                    return holder
        return None

    def add(self, port: PublishedPort, holder: Holder) -> None:
        """Note who holds these ports, which nobody held until now."""
        for number in port.numbers:
            holders = self._holders.setdefault((port.protocol, number), {})
            holders.update(dict.fromkeys(port.places, holder))

    def remove(self, port: PublishedPort) -> None:
        """Note that nobody holds these ports any more."""
        for number in port.numbers:
            holders = self._holders.get((port.protocol, number), {})
            for place in port.places:
                holders.pop(place, None)
            if not holders:
                self._holders.pop((port.protocol, number), None)


def parse(raw: Any) -> tuple[PublishedPort, ...]:
    """
    Read C{cloud_properties.ports}.

    A port without one of the host needs nothing here: VMs are reached by their addresses.

    @param raw: a list of texts as docker-cpi has them, or of objects as warden-cpi has
        them; or L{None}.
    @raise InvalidArgument: naming what is wrong, and what is accepted.
    """
    if raw is None:
        return ()
    if not isinstance(raw, list):
        raise InvalidArgument(f"{WHERE}: {raw!r} must be a list")
    _check_count(len(raw))
    read = [_read(f"{WHERE}[{number}]", item) for number, item in enumerate(raw)]
    published = tuple(port for port in read if port is not None)
    _check_count(sum(len(port.numbers) for port in published))
    _check_distinct(published)
    return published


def _check_count(count: int) -> None:
    if count > MOST_PUBLISHED:
        raise InvalidArgument(
            f"{WHERE}: {count} ports are too many; a VM may publish {MOST_PUBLISHED}"
        )


def _check_distinct(ports: Sequence[PublishedPort]) -> None:
    held: HeldPorts[PublishedPort] = HeldPorts()
    for port in ports:
        other = held.holder(port)
        if other is not None:
            raise InvalidArgument(f"{WHERE}: {port} and {other} overlap")
        held.add(port, port)


def _read(where: str, item: Any) -> PublishedPort | None:
    if isinstance(item, str):
        return _from_text(where, item)
    if isinstance(item, dict):
        return _from_object(where, item)
    if isinstance(item, int) and not isinstance(item, bool):
        _range(where, str(item))
        return None
    raise InvalidArgument(f"{where}: {item!r} must be {ACCEPTED}")


def _from_text(where: str, text: str) -> PublishedPort | None:
    ports, slash, protocol = text.partition("/")
    # An address of IPv6 has colons of its own.
    address, bracket, behind = ports.rpartition("]:")
    *rest, container = behind.split(":")
    rest = [address + bracket[:1], *rest] if bracket else rest
    if len(rest) > 2:
        raise InvalidArgument(f"{where}: {text!r} must be {ACCEPTED}")
    if not rest:
        _range(where, container)
        _protocol(where, protocol if slash else "tcp")
        return None
    return _published(
        where,
        protocol=protocol if slash else "tcp",
        address=rest[0] if len(rest) == 2 else "",
        host=rest[-1],
        container=container,
    )


def _from_object(where: str, item: Mapping[str, Any]) -> PublishedPort:
    unknown = sorted(str(name) for name in item.keys() - set(KEYS))
    if unknown or "host" not in item:
        reason = f"{unknown[0]!r} is unknown" if unknown else "host is missing"
        raise InvalidArgument(f"{where}: {reason}; an object has {', '.join(KEYS)}")
    host = _text(f"{where}.host", item["host"])
    container = item.get("container")
    return _published(
        where,
        protocol=_text(f"{where}.protocol", item.get("protocol") or "tcp"),
        address="",
        host=host,
        container=host if container is None else _text(f"{where}.container", container),
    )


def _text(where: str, value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise InvalidArgument(f"{where}: {value!r} must be a number or a text")
    # warden-cpi has a colon in ranges.
    return str(value).replace(":", "-")


def _published(
    where: str, *, protocol: str, address: str, host: str, container: str
) -> PublishedPort:
    first, last = _range(where, host)
    first_inside, last_inside = _range(where, container)
    if last - first != last_inside - first_inside:
        raise InvalidArgument(
            f"{where}: {host!r} and {container!r} must be ranges of the same size"
        )
    return PublishedPort(
        protocol=_protocol(where, protocol),
        address=_address(where, address),
        first=first,
        last=last,
        container=first_inside,
    )


def _protocol(where: str, text: str) -> str:
    if text not in PROTOCOLS:
        choices = " or ".join(PROTOCOLS)
        raise InvalidArgument(f"{where}: protocol {text!r} must be {choices}")
    return text


def _address(where: str, text: str) -> Address | None:
    """Return the address, or L{None} for all."""
    if not text:
        return None
    try:
        if text.startswith("[") and text.endswith("]") and "%" not in text:
            address: Address = IPv6Address(text[1:-1])
        else:
            address = IPv4Address(text)
    except ValueError:
        raise InvalidArgument(
            f"{where}: {text!r} must be an address of the host, one of IPv6 in brackets"
        ) from None
    reason = _reason_against(address)
    if reason is not None:
        raise InvalidArgument(f"{where}: {text!r} {reason}")
    return address


def _reason_against(address: Address) -> str | None:
    """Return why no port can be published at an address, whoever has it, if that is so."""
    if address.is_multicast:
        return "is of a group; take an address of the host"
    if isinstance(address, IPv4Address):
        return None
    if address.is_loopback:
        return "leads to no VM; take 127.0.0.1"
    if address.is_link_local:
        return "holds on one link alone; take another address of the host"
    if address.ipv4_mapped is not None:
        return f"is one of IPv4; take {address.ipv4_mapped}"
    return None


def _range(where: str, text: str) -> tuple[int, int]:
    """Return the first and the last port of a range, which may be one port alone."""
    first, _, last = text.partition("-")
    numbers = _port(where, text, first), _port(where, text, last if "-" in text else first)
    if numbers[0] > numbers[1]:
        raise InvalidArgument(f"{where}: {text!r} must begin with its lower port")
    return numbers


def _port(where: str, text: str, digits: str) -> int:
    is_number = digits.isascii() and digits.isdigit() and len(digits) <= 5
    if not is_number or not 1 <= int(digits) <= MOST_PORTS:
        raise InvalidArgument(
            f"{where}: {text!r} must be a port from 1 to {MOST_PORTS}, or a range such as "
            "1000-2000"
        )
    return int(digits)
