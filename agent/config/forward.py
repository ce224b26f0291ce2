"""`forwards`: IPv4 ports of the uplinks that lead to a host inside."""

from __future__ import annotations

from typing import Annotated, NamedTuple

from pydantic import BeforeValidator, Field

from agent.config.base import Many, Noun, as_names
from agent.config.host import ports_of
from agent.config.ports import Port, PortList, Ports


class Mapped(NamedTuple):
    """Ports `first` to `last` of an uplink, and the first of as many inside."""

    protocol: str
    first: int
    last: int
    to_first: int
    to_last: int


class Forward(Noun):
    """A port forward; it implies its own accept, after the rules."""

    tcp: PortList = Field(default=(), description="TCP ports outside: 443, 27000-27050 or a list")
    udp: PortList = Field(default=(), description="UDP ports outside, likewise")
    to: str = Field(description="the host inside; it needs an `ipv4`")
    to_port: Port | None = Field(default=None, description="first port inside when it differs from outside")
    from_: Annotated[tuple[str, ...], BeforeValidator(as_names)] = Field(
        default=(),
        alias="from",
        description="who may use it: networks, addresses, prefixes, lists of `addresses`; default: everybody",
    )
    uplinks: Many[str] | None = Field(default=None, description="only at these; default: at every uplink")

    @property
    def ports(self) -> tuple[Ports, ...]:
        """(protocol, first, last) outside, TCP first."""
        return ports_of(self.tcp, self.udp)

    @property
    def mapped(self) -> tuple[Mapped, ...]:
        """(protocol, first, last, to_first, to_last): outside and inside; each range keeps its width."""
        return tuple(
            Mapped(*ports, inside, inside + ports.last - ports.first)
            for ports in self.ports
            for inside in (ports.first if self.to_port is None else self.to_port,)
        )
