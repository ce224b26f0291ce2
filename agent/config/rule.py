"""`rules`: first match wins; what no rule names is dropped. `policies`: what is done instead."""

from __future__ import annotations

import re
from typing import Annotated, Literal, NamedTuple, TypeAlias

from pydantic import BeforeValidator, Field, PlainValidator, WithJsonSchema

from agent.config.base import MendError, Noun, as_names
from agent.config.host import ports_of
from agent.config.parse import show
from agent.config.ports import PortList, Ports
from agent.config.protocol import IcmpTypes, Icmpv6Types, Protocols
from agent.config.rate import RateText
from agent.config.service import SERVICES, ServiceNames
from agent.config.when import When

_NAMES = {
    "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}],
    "description": "a word or a list",
}
Names: TypeAlias = Annotated[tuple[str, ...], BeforeValidator(as_names), Field(min_length=1), WithJsonSchema(_NAMES)]
Action: TypeAlias = Literal["accept", "drop", "reject"]
ICMP, ICMPV6 = 1, 58
_LONGEST_NOTE = 40  # nft takes 127 bytes; zones, rule and action stand before it
_NOTE = re.compile(rf'[^\x00-\x1f"$\\\x7f-\U0010ffff]{{1,{_LONGEST_NOTE}}}')


class Traffic(NamedTuple):
    """One protocol of a rule, None for every one, and its ports or ICMP types; empty means all of them."""

    protocol: str | int | None = None
    ports: tuple[tuple[int, int], ...] = ()
    types: tuple[int, ...] = ()

    @property
    def family(self) -> Literal[4, 6] | None:
        """The IP version that it exists in, None for both."""
        return {ICMP: 4, ICMPV6: 6}.get(self.protocol)  # type: ignore[arg-type,return-value]


def parse_log(value: object) -> bool | str:
    """True, false, or a note for the log line."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and _NOTE.fullmatch(value):
        return value
    raise MendError(
        f"{show(value)} is neither true nor false nor a note",
        f"write true, or a text of at most {_LONGEST_NOTE} plain characters, without quotes, $ and \\",
    )


_LOG = {"anyOf": [{"type": "boolean"}, {"type": "string", "minLength": 1, "maxLength": _LONGEST_NOTE}]}
LogNote: TypeAlias = Annotated[
    bool | str,
    PlainValidator(parse_log),
    WithJsonSchema({**_LOG, "description": "`true` or a text"}),
]


class Rule(Noun):
    """One rule, for both families unless `family` says one."""

    from_: Names = Field(alias="from", description="where a connection begins: one word or a list")
    to: Names = Field(description="where it goes: one word or a list")
    family: Literal["ipv4", "ipv6"] | None = Field(default=None, description="`ipv4` or `ipv6`; default: both")
    service: ServiceNames = Field(default=(), description="services by name: `https` or a list, see Services")
    tcp: PortList = Field(default=(), description="TCP ports: 443, 27000-27050 or a list")
    udp: PortList = Field(default=(), description="UDP ports, likewise; nothing of these: every protocol")
    icmp: IcmpTypes = Field(default=(), description="ICMP types (IPv4): `echo-request`, a number or a list")
    icmpv6: Icmpv6Types = Field(default=(), description="ICMPv6 types, likewise")
    protocol: Protocols = Field(default=(), description="protocols as a whole: `esp`, `gre`, a number or a list")
    action: Action = Field(description="`accept`, `drop`, or `reject` with an answer")
    via: str | None = Field(default=None, description="uplink to take while it can be used, else the network's choice")
    only: str | None = Field(default=None, description="uplink to take; while it cannot be used, nothing passes")
    when: When | None = Field(default=None, description="days and hours in which it holds; default: always")
    limit: RateText | None = Field(
        default=None,
        description="new connections that match: `10/s burst 20`, `5/m per source`; the rest go on to the next rule",
    )
    log: LogNote = Field(default=False, description="log each new connection it matches; a text stands in the line")

    @property
    def ports(self) -> tuple[Ports, ...]:
        """(protocol, first, last), TCP first, those of services included."""
        named = {ports for service in self.service for ports in SERVICES[service]}
        written = ports_of(self.tcp, self.udp)
        return (*written, *sorted(named - set(written)))

    @property
    def traffic(self) -> tuple[Traffic, ...]:
        """What the rule is about; one `Traffic` of every protocol where it names none."""
        found: dict[str, list[tuple[int, int]]] = {}
        for protocol, first, last in self.ports:
            found.setdefault(protocol, []).append((first, last))
        parts = [Traffic(name, tuple(found[name])) for name in ("tcp", "udp") if name in found]
        parts += [Traffic(ICMP, types=self.icmp)] if self.icmp else []
        parts += [Traffic(ICMPV6, types=self.icmpv6)] if self.icmpv6 else []
        parts += [Traffic(number) for number in self.protocol]
        return tuple(parts) or (Traffic(),)

    @property
    def uplink(self) -> str | None:
        """The uplink its connections take, by `via` or `only`."""
        return self.only if self.only is not None else self.via

    @property
    def families(self) -> tuple[Literal[4, 6], ...]:
        """The IP versions it speaks of."""
        return {"ipv4": (4,), "ipv6": (6,)}.get(self.family or "", (4, 6))  # type: ignore[return-value]


class Policy(Noun):
    """What is done between two zones with that which no rule and no forward names; the first that fits."""

    from_: Names = Field(alias="from", description="networks, `internet`, `firewall` or `any`")
    to: Names = Field(description="likewise")
    action: Action = Field(description="`accept`, `drop`, or `reject` with an answer")
    log: LogNote = Field(default=False, description="log each new connection it decides; a text stands in the line")
