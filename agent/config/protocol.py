"""Protocols beside TCP and UDP ports, and ICMP types."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from types import MappingProxyType
from typing import Annotated, Any, TypeAlias

from pydantic import PlainValidator, WithJsonSchema

from agent.config.base import MendError, as_tuple
from agent.config.parse import show

# IANA protocol numbers; nft knows some of them by these names, all of them by number.
PROTOCOLS: Mapping[str, int] = MappingProxyType(
    {
        "icmp": 1,
        "igmp": 2,
        "ipip": 4,
        "tcp": 6,
        "udp": 17,
        "ipv6": 41,
        "gre": 47,
        "esp": 50,
        "ah": 51,
        "icmpv6": 58,
        "ospf": 89,
        "vrrp": 112,
        "l2tp": 115,
        "sctp": 132,
        "udplite": 136,
    }
)
LAST_PROTOCOL = 255
# IANA ICMP type numbers (RFC 792, 950, 1256).
ICMP_TYPES: Mapping[str, int] = MappingProxyType(
    {
        "echo-reply": 0,
        "destination-unreachable": 3,
        "redirect": 5,
        "echo-request": 8,
        "router-advertisement": 9,
        "router-solicitation": 10,
        "time-exceeded": 11,
        "parameter-problem": 12,
        "timestamp-request": 13,
        "timestamp-reply": 14,
    }
)
# IANA ICMPv6 type numbers (RFC 4443, 4861, 2710, 3810).
ICMPV6_TYPES: Mapping[str, int] = MappingProxyType(
    {
        "destination-unreachable": 1,
        "packet-too-big": 2,
        "time-exceeded": 3,
        "parameter-problem": 4,
        "echo-request": 128,
        "echo-reply": 129,
        "mld-listener-query": 130,
        "mld-listener-report": 131,
        "mld-listener-done": 132,
        "nd-router-solicit": 133,
        "nd-router-advert": 134,
        "nd-neighbor-solicit": 135,
        "nd-neighbor-advert": 136,
        "nd-redirect": 137,
        "mld2-listener-report": 143,
    }
)
# Another name that people use.
_SAME = {"ping": "echo-request", "echo": "echo-request", "pong": "echo-reply", "ipv6-icmp": "icmpv6", "icmp6": "icmpv6"}


def _numbers(what: str, table: Mapping[str, int]) -> Callable[[object], tuple[int, ...]]:
    """A parser of one name or number, or a list of both, into numbers; each once, sorted."""

    def parse(value: object) -> tuple[int, ...]:
        entries = as_tuple(value) if isinstance(value, list | tuple) else (value,)
        if not isinstance(entries, tuple) or not entries:
            raise MendError(f"an empty list: no {what}", f"write a name like `{next(iter(table))}`, or leave it out")
        return tuple(sorted({_number(what, table, entry) for entry in entries}))

    return parse


def _number(what: str, table: Mapping[str, int], entry: Any) -> int:
    if isinstance(entry, int) and not isinstance(entry, bool) and 0 <= entry <= LAST_PROTOCOL:
        return entry
    word = _SAME.get(entry, entry) if isinstance(entry, str) else ""
    if word in table:
        return table[word]
    found = get_close_matches(str(entry).lower(), [*table, *_SAME], n=1, cutoff=0.6)
    otherwise = f"write a number from 0 to {LAST_PROTOCOL}, or one of {', '.join(table)}"
    raise MendError(f"{show(entry)} is no {what}", f"write `{found[0]}`" if found else otherwise)


def _schema(table: Mapping[str, int], description: str) -> WithJsonSchema:
    one = [{"type": "string", "enum": [*table]}, {"type": "integer", "minimum": 0, "maximum": LAST_PROTOCOL}]
    whole = {"anyOf": [*one, {"type": "array", "items": {"anyOf": one}, "minItems": 1}]}
    return WithJsonSchema({**whole, "description": description})


Protocols: TypeAlias = Annotated[
    tuple[int, ...],
    PlainValidator(_numbers("protocol", PROTOCOLS)),
    _schema(PROTOCOLS, "a protocol, a number or a list"),
]
IcmpTypes: TypeAlias = Annotated[
    tuple[int, ...],
    PlainValidator(_numbers("ICMP type", ICMP_TYPES)),
    _schema(ICMP_TYPES, "an ICMP type or a list"),
]
Icmpv6Types: TypeAlias = Annotated[
    tuple[int, ...],
    PlainValidator(_numbers("ICMPv6 type", ICMPV6_TYPES)),
    _schema(ICMPV6_TYPES, "an ICMPv6 type or a list"),
]
