"""Containers of a docker host: what its engine says (on the host itself), and what the host says on the bus."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import Literal, NamedTuple, TypeAlias

from agent.model.kernel import Deadline

Transport: TypeAlias = Literal["tcp", "udp"]


class PortSpan(NamedTuple):
    """Ports `first` to `last` of a protocol, both included."""

    protocol: Transport
    first: int
    last: int

    def __str__(self) -> str:
        """As a label has it: `443/tcp`, `8000-8010/udp`."""
        ports = str(self.first) if self.first == self.last else f"{self.first}-{self.last}"
        return f"{ports}/{self.protocol}"


@dataclass(frozen=True, slots=True)
class Attachment:
    """A container on a network of its engine. `mode`: how the engine forwards IPv6 there, empty for its default."""

    network: str
    address: IPv6Address | None = None
    mode: str = ""


@dataclass(frozen=True, slots=True)
class EngineContainer:
    """A running container as its engine describes it.

    `expose`: the text of its label `router.expose`, None without one. `published`: the ports that the engine itself
    publishes for IPv6; known of containers with the label only.
    """

    id: str
    name: str
    attachments: tuple[Attachment, ...] = ()
    expose: str | None = None
    published: tuple[PortSpan, ...] = ()


@dataclass(frozen=True, slots=True)
class Engine:
    """What the engine said last. `error`: why it does not answer now (empty: it does), `since` that moment.

    Moments are CLOCK_BOOTTIME. What it said before an error stays here; how long that counts is the planner's question.
    """

    containers: tuple[EngineContainer, ...] = ()
    error: str = ""
    hint: str = ""
    since: float = 0.0


@dataclass(frozen=True, slots=True)
class Container:
    """A running container: its name at its host, its IPv6 addresses, the ports it asks for.

    `notes`: what is wrong with what it asks, in words: not asked then, or of no use.
    """

    name: str
    addresses: tuple[IPv6Address, ...] = ()
    ports: tuple[PortSpan, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Containers:
    """Topic `containers`: all running containers of a docker host, by name.

    `left_out`: how many more there are than a document holds. `error`: why the host does not know (empty: it does).
    """

    containers: tuple[Container, ...] = ()
    left_out: int = 0
    error: str = ""
    valid_until: Deadline = None
