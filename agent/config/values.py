"""The scalars of the configuration: text in, values of `ipaddress`, seconds and numbers out.

Each parser raises `MendError` with what is wrong and how to mend it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
    ip_address,
    ip_interface,
    ip_network,
)
from pathlib import Path
from typing import Annotated, Any, NamedTuple, TypeAlias, TypeVar

from pydantic import PlainValidator, WithJsonSchema

from agent.config.base import MendError

Value = TypeVar("Value")

UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)")
_MAC = re.compile(r"[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}")
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_INTERFACE_NAME = re.compile(r"[^\s/:%\"']{1,15}")
_PORT_RANGE = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?")
_KEY = re.compile(r"[A-Za-z0-9+/]{43}=")
_MAX_PORT = 65535
_DOMAIN_LENGTH = 253
_GROUP_BIT = 1  # of the first byte (IEEE 802)


class PortRange(NamedTuple):
    """Ports `first` to `last`, both included."""

    first: int
    last: int


class Ports(NamedTuple):
    """A protocol (`tcp` or `udp`) and its ports `first` to `last`, both included. Equal to a plain tuple."""

    protocol: str
    first: int
    last: int


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


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A host (a name or an address) and a UDP port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def show(value: object) -> str:
    """A value as a person wrote it, for a message."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "a mapping"
    return "a list" if isinstance(value, list | tuple) else f"`{value}`"


def _parsed(value: object, kinds: tuple[type, ...], parse: Callable[[Any], Value], what: str, example: str) -> Value:
    """`value` itself when it is of the kind already, else what `parse` makes of the text."""
    mend = f"write {example}"
    if isinstance(value, kinds):
        return value  # type: ignore[return-value]
    if not isinstance(value, str):
        raise MendError(f"{show(value)} is not {what}", mend)
    try:
        return parse(value)
    except MendError:
        raise
    except ValueError as error:
        raise MendError(f"{show(value)} is not {what}", mend) from error


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


def parse_address(value: object) -> IPv4Address | IPv6Address:
    """An address of either family, without a scope (`%eth0`)."""
    kinds = (IPv4Address, IPv6Address)
    return _parsed(
        value, kinds, lambda v: _plain(ip_address(v)), "an IP address", 'an address like 9.9.9.9 or "2620:fe::fe"'
    )


def parse_ipv4_address(value: object) -> IPv4Address:
    """An IPv4 address."""
    return _parsed(value, (IPv4Address,), IPv4Address, "an IPv4 address", "four numbers like 192.0.2.129")


def parse_ipv6_address(value: object) -> IPv6Address:
    """An IPv6 address without a scope."""

    def parse(text: str) -> IPv6Address:
        address = IPv6Address(text)
        _plain(address)
        return address

    return _parsed(value, (IPv6Address,), parse, "an IPv6 address", 'an address like "fe80::1", in quotes')


def parse_interface(value: object) -> IPv4Interface | IPv6Interface:
    """An address with its prefix length, either family."""
    kinds = (IPv4Interface, IPv6Interface)
    return _parsed(value, kinds, _with_length(ip_interface), "an address with a prefix length", "it like 10.64.0.2/32")


def _with_length(parse: Callable[[str], Value]) -> Callable[[str], Value]:
    def parsed(text: str) -> Value:
        if "/" not in text:
            raise MendError(
                f"`{text}` has no prefix length", f"write it with one, like {text}/24 (IPv4) or {text}/64 (IPv6)"
            )
        return parse(text)

    return parsed


def parse_ipv4_interface(value: object) -> IPv4Interface:
    """An IPv4 address with its prefix length."""
    parse = _with_length(IPv4Interface)
    return _parsed(value, (IPv4Interface,), parse, "an IPv4 address with a prefix length", "it like 192.0.2.136/26")


def parse_ipv6_interface(value: object) -> IPv6Interface:
    """An IPv6 address with its prefix length."""
    parse = _with_length(IPv6Interface)
    what = "an IPv6 address with a prefix length"
    return _parsed(value, (IPv6Interface,), parse, what, 'it like "2001:db8::1/64", in quotes')


def parse_gateway4(value: object) -> IPv4Interface:
    """The firewall's address in an IPv4 network: the first host where only the network is written."""
    parse = _with_length(IPv4Interface)
    what = "an IPv4 network"
    found = _parsed(
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

    return _parsed(value, (IPv6Network,), parse, "an IPv6 prefix", 'it like "2001:db8::/48", in quotes')


def parse_ipv4_network(value: object) -> IPv4Network:
    """An IPv4 network without host bits."""
    return _parsed(value, (IPv4Network,), lambda v: _network(IPv4Network, v), "an IPv4 network", "it like 10.0.0.0/8")


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

    return _parsed(value, (AddressRange,), parse, "a range of addresses", "it like 10.10.0.100-10.10.0.199")


def parse_duration(value: object) -> float:
    """Seconds, from a number with a unit: ms s m h d."""
    if isinstance(value, float):
        raise MendError(f"{show(value)} has no unit", f"write it with one of {' '.join(UNITS)}, like {value}s")
    if isinstance(value, int) and not isinstance(value, bool):
        raise MendError(f"{show(value)} has no unit", f"write it with one of {' '.join(UNITS)}, like {value}s")
    matched = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if matched is None:
        raise MendError(f"{show(value)} is not a duration", "write a number and a unit (ms s m h d), like 300ms or 12h")
    # By division for ms: 300 * 0.001 is not 0.3.
    number = float(matched[1])
    return number / 1000 if matched[2] == "ms" else number * UNITS[matched[2]]


def parse_mac(value: object) -> str:
    """A MAC address, made lower case; a group address is no address of a device."""
    if not isinstance(value, str) or not _MAC.fullmatch(value):
        raise MendError(f"{show(value)} is not a MAC address", 'write six hex bytes like "02:00:00:00:10:05"')
    if int(value[:2], 16) & _GROUP_BIT or not int(value.replace(":", ""), 16):
        raise MendError(f"`{value}` is not the address of one device", "write the permanent MAC address of the device")
    return value.lower()


def parse_label(value: object) -> str:
    """A DNS label that is also a level of a bus topic."""
    if not isinstance(value, str) or not _LABEL.fullmatch(value):
        raise MendError(f"{show(value)} is not a name of a-z 0-9 -", "write a short name like home")
    return value


def parse_domain(value: object) -> str:
    """A DNS domain in lower case, without the last dot."""
    text = value.rstrip(".").lower() if isinstance(value, str) else ""
    if not text or len(text) > _DOMAIN_LENGTH or not all(_LABEL.fullmatch(label) for label in text.split(".")):
        raise MendError(f"{show(value)} is not a domain", "write it like home.arpa")
    return text


def parse_interface_name(value: object) -> str:
    """A name the kernel takes for a network device."""
    if not isinstance(value, str) or not _INTERFACE_NAME.fullmatch(value) or value in {".", ".."}:
        raise MendError(
            f"{show(value)} is not the name of a network interface", "write at most 15 characters, like eth0"
        )
    return value


def parse_text(value: object) -> str:
    """A text that is not empty and has no control characters (it goes into a daemon's file)."""
    if not isinstance(value, str) or not value or not value.isprintable():
        raise MendError(
            f"{show(value)} is not a text", "write a text without line breaks; quote it when it looks like a number"
        )
    return value


def parse_key(value: object) -> str:
    """A WireGuard key: 32 bytes in base64."""
    if not isinstance(value, str) or not _KEY.fullmatch(value):
        raise MendError("this is not a WireGuard key", "write the 44 characters that `wg pubkey` prints, in quotes")
    return value


def parse_path(value: object) -> Path:
    """A path; relative ones are relative to the configuration file (`Settings.path`)."""
    if isinstance(value, Path):
        return value
    if not isinstance(value, str) or not value or not value.isprintable():
        raise MendError(f"{show(value)} is not a path", "write it like /run/secrets/bus_password")
    return Path(value)


def parse_endpoint(value: object) -> Endpoint:
    """`HOST:PORT`, an IPv6 address in brackets."""

    def parse(text: str) -> Endpoint:
        host, _, port = text.rpartition(":")
        if host.startswith("[") and host.endswith("]"):
            host = str(IPv6Address(host[1:-1]))
        elif not host or ":" in host:
            raise ValueError(text)
        return Endpoint(parse_text(host), _port(port))

    return _parsed(
        value, (Endpoint,), parse, "a host and a port", 'it like "198.51.100.7:51820" or "[2001:db8::1]:51820"'
    )


def parse_port(value: object) -> int:
    """A port, 1 to 65535."""
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= _MAX_PORT:
        raise MendError(f"{show(value)} is not a port", f"write a number from 1 to {_MAX_PORT}")
    return value


def _port(text: str) -> int:
    port = int(text)
    if not 1 <= port <= _MAX_PORT:
        raise MendError(f"{port} is not a port", f"write a number from 1 to {_MAX_PORT}")
    return port


def parse_ports(value: object) -> tuple[PortRange, ...]:
    """A port, a range `FIRST-LAST`, or a list of both, in the order written."""
    if isinstance(value, list | tuple) and not isinstance(value, PortRange):
        if not value:
            raise MendError("an empty list of ports", "leave the key out: without ports a rule is for every protocol")
        return tuple(part for item in value for part in ((item,) if isinstance(item, PortRange) else parse_ports(item)))
    matched = (
        _PORT_RANGE.fullmatch(str(value)) if isinstance(value, int | str) and not isinstance(value, bool) else None
    )
    if matched is None:
        raise MendError(
            f"{show(value)} is not a port", "write a port (443), a range (27000-27050) or a list of them [80, 443]"
        )
    first = _port(matched[1])
    last = _port(matched[2]) if matched[2] else first
    if last < first:
        raise MendError(f"`{value}` ends before it begins", f"write {last}-{first}")
    return (PortRange(first, last),)


def _text(description: str, **more: Any) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "description": description, **more})


Address: TypeAlias = Annotated[IPv4Address | IPv6Address, PlainValidator(parse_address), _text("an IP address")]
Address4: TypeAlias = Annotated[
    IPv4Address, PlainValidator(parse_ipv4_address), _text("an IPv4 address", format="ipv4")
]
Address6: TypeAlias = Annotated[
    IPv6Address, PlainValidator(parse_ipv6_address), _text("an IPv6 address", format="ipv6")
]
InterfaceAddress: TypeAlias = Annotated[
    IPv4Interface | IPv6Interface, PlainValidator(parse_interface), _text("ADDRESS/LENGTH")
]
InterfaceAddress4: TypeAlias = Annotated[
    IPv4Interface, PlainValidator(parse_ipv4_interface), _text("IPv4 ADDRESS/LENGTH")
]
InterfaceAddress6: TypeAlias = Annotated[
    IPv6Interface, PlainValidator(parse_ipv6_interface), _text("IPv6 ADDRESS/LENGTH")
]
Gateway4: TypeAlias = Annotated[IPv4Interface, PlainValidator(parse_gateway4), _text("IPv4 NETWORK/LENGTH")]
Prefix6: TypeAlias = Annotated[IPv6Network, PlainValidator(parse_ipv6_network), _text("an IPv6 prefix")]
Range4: TypeAlias = Annotated[AddressRange, PlainValidator(parse_range), _text("IPv4 FIRST-LAST")]
Duration: TypeAlias = Annotated[
    float, PlainValidator(parse_duration), _text("a number and a unit", pattern=r"^[0-9]+(\.[0-9]+)?(ms|s|m|h|d)$")
]
Mac: TypeAlias = Annotated[
    str, PlainValidator(parse_mac), _text("a MAC address", pattern="^[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}$")
]
Label: TypeAlias = Annotated[str, PlainValidator(parse_label), _text("a-z 0-9 -", pattern=f"^{_LABEL.pattern}$")]
Domain: TypeAlias = Annotated[str, PlainValidator(parse_domain), _text("a DNS domain")]
InterfaceName: TypeAlias = Annotated[str, PlainValidator(parse_interface_name), _text("an interface", maxLength=15)]
Text: TypeAlias = Annotated[str, PlainValidator(parse_text), _text("a text", minLength=1)]
Key: TypeAlias = Annotated[str, PlainValidator(parse_key), _text("a WireGuard key", pattern=f"^{_KEY.pattern}$")]
FilePath: TypeAlias = Annotated[Path, PlainValidator(parse_path), _text("a path")]
EndpointText: TypeAlias = Annotated[Endpoint, PlainValidator(parse_endpoint), _text("HOST:PORT")]
Port: TypeAlias = Annotated[
    int, PlainValidator(parse_port), WithJsonSchema({"type": "integer", "minimum": 1, "maximum": _MAX_PORT})
]
_ONE_PORT = {"anyOf": [{"type": "integer", "minimum": 1, "maximum": _MAX_PORT}, {"type": "string"}]}
PortList: TypeAlias = Annotated[
    tuple[PortRange, ...],
    PlainValidator(parse_ports),
    WithJsonSchema({"anyOf": [*_ONE_PORT["anyOf"], {"type": "array", "items": _ONE_PORT, "minItems": 1}]}),
]
