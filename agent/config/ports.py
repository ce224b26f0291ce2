"""Ports of TCP and UDP: one, a range, or a list."""

from __future__ import annotations

import re
from typing import Annotated, NamedTuple, TypeAlias

from pydantic import PlainValidator, WithJsonSchema

from agent.config.base import MendError
from agent.config.parse import show

_PORT_RANGE = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?")

MAX_PORT = 65535


class PortRange(NamedTuple):
    """Ports `first` to `last`, both included."""

    first: int
    last: int


class Ports(NamedTuple):
    """A protocol (`tcp` or `udp`) and its ports `first` to `last`, both included. Equal to a plain tuple."""

    protocol: str
    first: int
    last: int


def parse_port(value: object) -> int:
    """A port, 1 to 65535."""
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MAX_PORT:
        raise MendError(f"{show(value)} is not a port", f"write a number from 1 to {MAX_PORT}")
    return value


def port_number(text: str) -> int:
    """A port from its digits."""
    port = int(text)
    if not 1 <= port <= MAX_PORT:
        raise MendError(f"{port} is not a port", f"write a number from 1 to {MAX_PORT}")
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
    first = port_number(matched[1])
    last = port_number(matched[2]) if matched[2] else first
    if last < first:
        raise MendError(f"`{value}` ends before it begins", f"write {last}-{first}")
    return (PortRange(first, last),)


_ONE = {"type": "integer", "minimum": 1, "maximum": MAX_PORT}
_ONE_OR_RANGE = [_ONE, {"type": "string", "pattern": f"^{_PORT_RANGE.pattern}$"}]
Port: TypeAlias = Annotated[int, PlainValidator(parse_port), WithJsonSchema({**_ONE, "description": "a port"})]
PortList: TypeAlias = Annotated[
    tuple[PortRange, ...],
    PlainValidator(parse_ports),
    WithJsonSchema(
        {
            "anyOf": [*_ONE_OR_RANGE, {"type": "array", "items": {"anyOf": _ONE_OR_RANGE}, "minItems": 1}],
            "description": "a port, a range or a list",
        }
    ),
]
