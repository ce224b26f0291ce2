"""`rules`: first match wins; what no rule names is dropped."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import BeforeValidator, Field, WithJsonSchema

from agent.config.base import Noun, as_names
from agent.config.host import ports_of
from agent.config.ports import PortList, Ports

_NAMES = {
    "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}],
    "description": "a word or a list",
}
Names: TypeAlias = Annotated[tuple[str, ...], BeforeValidator(as_names), Field(min_length=1), WithJsonSchema(_NAMES)]


class Rule(Noun):
    """One rule, for both families unless `family` says one."""

    from_: Names = Field(alias="from", description="where a connection begins: one word or a list")
    to: Names = Field(description="where it goes: one word or a list")
    family: Literal["ipv4", "ipv6"] | None = Field(default=None, description="`ipv4` or `ipv6`; default: both")
    tcp: PortList = Field(default=(), description="TCP ports: 443, 27000-27050 or a list")
    udp: PortList = Field(default=(), description="UDP ports, likewise; no ports at all: every protocol")
    action: Literal["accept", "drop", "reject"] = Field(description="`accept`, `drop`, or `reject` with an answer")
    via: str | None = Field(default=None, description="uplink to take while it can be used, else the network's choice")
    only: str | None = Field(default=None, description="uplink to take; while it cannot be used, nothing passes")
    log: bool = Field(default=False, description="log each new connection it matches")

    @property
    def ports(self) -> tuple[Ports, ...]:
        """(protocol, first, last), TCP first; empty means every protocol."""
        return ports_of(self.tcp, self.udp)

    @property
    def uplink(self) -> str | None:
        """The uplink its connections take, by `via` or `only`."""
        return self.only if self.only is not None else self.via

    @property
    def families(self) -> tuple[Literal[4, 6], ...]:
        """The IP versions it speaks of."""
        return {"ipv4": (4,), "ipv6": (6,)}.get(self.family or "", (4, 6))  # type: ignore[return-value]
