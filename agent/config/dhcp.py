"""`dhcp4` and `dhcp6` of a network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv6Address
from types import MappingProxyType
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field, PlainValidator, WithJsonSchema

from agent.config.addresses import AddressRange, Prefix6, parse_range
from agent.config.base import MendError, Noun
from agent.config.parse import parsed, show, text_schema
from agent.config.texts import Duration

DEFAULT_LEASE = 43200.0


def parse_pools(value: object) -> tuple[AddressRange, ...]:
    """`FIRST-LAST`, or a list of them."""
    items = value if isinstance(value, list | tuple) else [value]
    if not items:
        raise MendError("an empty list of pools", "write at least one, like 10.10.0.100-10.10.0.199")
    return tuple(parse_range(item) for item in items)


@dataclass(frozen=True, slots=True)
class SuffixRange:
    """The low 64 bits of IPv6 addresses, `first` to `last`, both included."""

    first: IPv6Address
    last: IPv6Address

    def __str__(self) -> str:
        return f"{self.first}-{self.last}"


def parse_suffixes(value: object) -> SuffixRange:
    """`FIRST-LAST`, the low 64 bits."""

    def parse(text: str) -> SuffixRange:
        first, dash, last = text.partition("-")
        found = SuffixRange(IPv6Address(first.strip()), IPv6Address(last.strip()))
        if not dash or int(found.last) >> 64 or int(found.first) < 2:  # noqa: PLR2004 -- ::1 is the firewall
            raise MendError(
                f"`{text}` is no range of suffixes", 'write the low 64 bits from "::2" on, like "::1:0-::1:ffff"'
            )
        if found.last < found.first:
            raise MendError(f"`{text}` ends before it begins", f'write "{found.last}-{found.first}"')
        return found

    return parsed(value, (SuffixRange,), parse, "a range of suffixes", 'it like "::1:0-::1:ffff", in quotes')


def parse_options(value: object) -> Mapping[str, Any]:
    """Options by name or number; each value is judged with its line, by `agent.config.cross.dhcp`."""
    if not isinstance(value, Mapping):
        raise MendError(f"{show(value)} where options are expected", "write { ntp-servers: 10.10.0.5 }")
    return MappingProxyType(dict(value))


Pools4: TypeAlias = Annotated[
    tuple[AddressRange, ...],
    PlainValidator(parse_pools),
    WithJsonSchema(
        {
            "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}],
            "description": "IPv4 FIRST-LAST, or a list of them",
        }
    ),
]
Suffixes: TypeAlias = Annotated[
    SuffixRange, PlainValidator(parse_suffixes), text_schema('FIRST-LAST, like "::1:0-::1:ffff"')
]
Options: TypeAlias = Annotated[
    Mapping[str, Any],
    PlainValidator(parse_options),
    WithJsonSchema({"type": "object", "description": "option → value ([addresses.md](addresses.md))"}),
]


class Dhcp4(Noun):
    """DHCPv4 on a network."""

    pool: Pools4 = Field(description="addresses to lease: FIRST-LAST, both included; a list for several pools")
    lease: Duration = Field(default=DEFAULT_LEASE, description="lifetime of a lease")
    options: Options = Field(default={}, description="more options for clients, or others than the router's own")


class Dhcp6(Noun):
    """DHCPv6 on a network."""

    mode: Literal["none", "stateless", "stateful"] = Field(
        default="none", description="`stateless`: options only; `stateful`: addresses too"
    )
    pool: Suffixes | None = Field(
        default=None, description="low 64 bits of the addresses to lease (stateful); default: `::1:0-::1:ffff`"
    )
    slaac: bool = Field(
        default=True, description="hosts may make themselves addresses too; `false`: by DHCPv6 alone (stateful)"
    )
    lease: Duration = Field(default=DEFAULT_LEASE, description="lifetime of addresses and delegated prefixes")
    delegate: Annotated[int, Field(ge=1, le=64)] | None = Field(
        default=None, description="length of the prefixes delegated downstream, like 60"
    )
    delegate_from: Prefix6 | None = Field(
        default=None, description="the part of `site.prefix` they are taken from; default: a free one at its end"
    )
