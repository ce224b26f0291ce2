"""The addresses of the configuration: text in, values of `ipaddress` out.

Each parser raises `MendError`: what is wrong, how to mend it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
    ip_address,
    ip_interface,
    ip_network,
)
from typing import Annotated, TypeAlias

from pydantic import PlainValidator

from agent.config.base import MendError
from agent.config.parse import Value, parsed, text_schema


@dataclass(frozen=True, slots=True)
class AddressRange:
    """IPv4 addresses `first` to `last`, both included."""

    first: IPv4Address
    last: IPv4Address

    def __contains__(self, address: object) -> bool:
        return isinstance(address, IPv4Address) and self.first <= address <= self.last

    def __str__(self) -> str:
        return f"{self.first}-{self.last}"

    @property
    def size(self) -> int:
        """How many addresses it holds."""
        return int(self.last) - int(self.first) + 1


def _network(kind: type[Value], value: str) -> Value:
    """A network; one with host bits set is an error that names the network meant."""
    try:
        return kind(value)  # type: ignore[call-arg]
    except ValueError:
        meant = ip_network(value, strict=False)
        if not isinstance(meant, kind):
            raise
        raise MendError(f"`{value}` has host bits set: bits after the prefix length", f"write {meant}") from None


def _plain(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    if isinstance(address, IPv6Address) and address.scope_id:
        raise ValueError("scope")
    return address


def _with_length(parse: Callable[[str], Value]) -> Callable[[str], Value]:
    def parsed(text: str) -> Value:
        if "/" not in text:
            raise MendError(
                f"`{text}` has no prefix length", f"write it with one, like {text}/24 (IPv4) or {text}/64 (IPv6)"
            )
        return parse(text)

    return parsed


def parse_address(value: object) -> IPv4Address | IPv6Address:
    """An address of either family, without a scope (`%eth0`)."""
    kinds = (IPv4Address, IPv6Address)
    return parsed(
        value, kinds, lambda v: _plain(ip_address(v)), "an IP address", 'an address like 9.9.9.9 or "2620:fe::fe"'
    )


def parse_ipv4_address(value: object) -> IPv4Address:
    """An IPv4 address."""
    return parsed(value, (IPv4Address,), IPv4Address, "an IPv4 address", "four numbers like 192.0.2.129")


def parse_ipv6_address(value: object) -> IPv6Address:
    """An IPv6 address without a scope."""

    def parse(text: str) -> IPv6Address:
        address = IPv6Address(text)
        _plain(address)
        return address

    return parsed(value, (IPv6Address,), parse, "an IPv6 address", 'an address like "fe80::1", in quotes')


def parse_interface(value: object) -> IPv4Interface | IPv6Interface:
    """An address with its prefix length, either family."""
    kinds = (IPv4Interface, IPv6Interface)
    return parsed(value, kinds, _with_length(ip_interface), "an address with a prefix length", "it like 10.64.0.2/32")


def parse_ipv4_interface(value: object) -> IPv4Interface:
    """An IPv4 address with its prefix length."""
    parse = _with_length(IPv4Interface)
    return parsed(value, (IPv4Interface,), parse, "an IPv4 address with a prefix length", "it like 192.0.2.136/26")


def parse_ipv6_interface(value: object) -> IPv6Interface:
    """An IPv6 address with its prefix length."""
    parse = _with_length(IPv6Interface)
    what = "an IPv6 address with a prefix length"
    return parsed(value, (IPv6Interface,), parse, what, 'it like "2001:db8::1/64", in quotes')


def parse_gateway4(value: object) -> IPv4Interface:
    """The firewall's address in an IPv4 network: the first host where only the network is written."""
    parse = _with_length(IPv4Interface)
    what = "an IPv4 network"
    found = parsed(
        value, (IPv4Interface,), parse, what, "it like 10.10.0.0/24, or 10.10.0.254/24 to choose the address"
    )
    network = found.network
    if network.prefixlen > 30:  # noqa: PLR2004 -- a LAN needs two hosts and a broadcast address
        raise MendError(f"{found} leaves no room for the firewall and a client", "use a prefix length of 30 or less")
    if found.ip == network.broadcast_address:
        raise MendError(
            f"{found.ip} is the broadcast address of {network}", f"write {network} or another address in it"
        )
    return IPv4Interface((int(network[1]), network.prefixlen)) if found.ip == network.network_address else found


def parse_ipv6_network(value: object) -> IPv6Network:
    """An IPv6 prefix without host bits."""

    def parse(text: str) -> IPv6Network:
        return _network(IPv6Network, _with_length(str)(text))

    return parsed(value, (IPv6Network,), parse, "an IPv6 prefix", 'it like "2001:db8::/48", in quotes')


def parse_range(value: object) -> AddressRange:
    """`FIRST-LAST`, IPv4."""

    def parse(text: str) -> AddressRange:
        first, dash, last = text.partition("-")
        if not dash:
            raise ValueError(text)
        found = AddressRange(IPv4Address(first.strip()), IPv4Address(last.strip()))
        if found.last < found.first:
            raise MendError(f"`{text}` ends before it begins", f"write {found.last}-{found.first}")
        return found

    return parsed(value, (AddressRange,), parse, "a range of addresses", "it like 10.10.0.100-10.10.0.199")


Address: TypeAlias = Annotated[IPv4Address | IPv6Address, PlainValidator(parse_address), text_schema("an IP address")]
Address4: TypeAlias = Annotated[
    IPv4Address, PlainValidator(parse_ipv4_address), text_schema("an IPv4 address", format="ipv4")
]
Address6: TypeAlias = Annotated[
    IPv6Address, PlainValidator(parse_ipv6_address), text_schema("an IPv6 address", format="ipv6")
]
InterfaceAddress: TypeAlias = Annotated[
    IPv4Interface | IPv6Interface, PlainValidator(parse_interface), text_schema("ADDRESS/LENGTH")
]
InterfaceAddress4: TypeAlias = Annotated[
    IPv4Interface, PlainValidator(parse_ipv4_interface), text_schema("IPv4 ADDRESS/LENGTH")
]
InterfaceAddress6: TypeAlias = Annotated[
    IPv6Interface, PlainValidator(parse_ipv6_interface), text_schema("IPv6 ADDRESS/LENGTH")
]
Gateway4: TypeAlias = Annotated[IPv4Interface, PlainValidator(parse_gateway4), text_schema("IPv4 NETWORK/LENGTH")]
Prefix6: TypeAlias = Annotated[IPv6Network, PlainValidator(parse_ipv6_network), text_schema("an IPv6 prefix")]
Range4: TypeAlias = Annotated[AddressRange, PlainValidator(parse_range), text_schema("IPv4 FIRST-LAST")]
