"""Events: what an edge tells the loop. An event means "look again", never "do this"."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from agent.model import (
    Address,
    Binding,
    Deadline,
    Delegated,
    Engine,
    Fact,
    IPAddress,
    IPInterface,
    Lease,
    Link,
    ListContent,
    Memory,
    Neighbour,
    Peer,
    PolicyRule,
    Reach,
    Route,
    UplinkHealth,
    WishKind,
)


@dataclass(frozen=True, slots=True)
class Dump:
    """The kernel's whole state, read in one go: replaces all that was known of it."""

    links: tuple[Link, ...] = ()
    addresses: tuple[Address, ...] = ()
    routes: tuple[Route, ...] = ()
    rules: tuple[PolicyRule, ...] = ()
    neighbours: tuple[Neighbour, ...] = ()


@dataclass(frozen=True, slots=True)
class LinkChanged:
    """A link is new or different."""

    link: Link


@dataclass(frozen=True, slots=True)
class LinkGone:
    """A link is gone, and with it its addresses, routes and neighbours."""

    index: int


@dataclass(frozen=True, slots=True)
class AddressChanged:
    """An address is new or different."""

    address: Address


@dataclass(frozen=True, slots=True)
class AddressGone:
    """An address is gone."""

    index: int
    ip: IPInterface


@dataclass(frozen=True, slots=True)
class RouteChanged:
    """A route is new."""

    route: Route


@dataclass(frozen=True, slots=True)
class RouteGone:
    """A route is gone."""

    route: Route


@dataclass(frozen=True, slots=True)
class RuleChanged:
    """A policy rule is new."""

    rule: PolicyRule


@dataclass(frozen=True, slots=True)
class RuleGone:
    """A policy rule is gone."""

    rule: PolicyRule


@dataclass(frozen=True, slots=True)
class NeighbourChanged:
    """A neighbour entry is new or different."""

    neighbour: Neighbour


@dataclass(frozen=True, slots=True)
class NeighbourGone:
    """A neighbour entry is gone."""

    index: int
    ip: IPAddress


@dataclass(frozen=True, slots=True)
class Leases:
    """All leases that the DHCP clients hold now: replaces what was known."""

    leases: tuple[Lease, ...]


@dataclass(frozen=True, slots=True)
class Served:
    """What our own DHCP servers have leased: replaces what was known. `errors`: (message, hint)."""

    bindings: tuple[Binding, ...] = ()
    delegated: tuple[Delegated, ...] = ()
    errors: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class FactReceived:
    """Another node said this of itself. `until` is the deadline of the message itself (its expiry), None for none."""

    node: str
    topic: str
    fact: Fact
    until: Deadline = None


@dataclass(frozen=True, slots=True)
class FactWithdrawn:
    """Another node withdrew what it had said (an empty payload)."""

    node: str
    topic: str


@dataclass(frozen=True, slots=True)
class BusChanged:
    """The connection to the broker stands or is lost. Facts stay until their deadlines."""

    connected: bool


@dataclass(frozen=True, slots=True)
class Remembered:
    """What was persisted by an earlier life of this agent."""

    memory: Memory
    peers: tuple[tuple[str, Peer], ...] = ()


@dataclass(frozen=True, slots=True)
class HealthChanged:
    """The verdicts of this ingress's own probes: replaces what was known. None: nothing is known."""

    health: UplinkHealth | None


@dataclass(frozen=True, slots=True)
class ReachChanged:
    """What the firewall's own probes of all ingresses say: replaces what was known."""

    reach: Mapping[str, Reach]


@dataclass(frozen=True, slots=True)
class Wished:
    """A person asked something of an uplink (`routerctl uplink`)."""

    uplink: str
    kind: WishKind


@dataclass(frozen=True, slots=True)
class ListsRead:
    """The lists that are read from files and names: replaces what was known."""

    lists: Mapping[str, ListContent]


@dataclass(frozen=True, slots=True)
class LocalTime:
    """Local time is now `utc_offset` seconds ahead of UTC."""

    utc_offset: int


@dataclass(frozen=True, slots=True)
class EngineSeen:
    """What the container engine of this docker host says: replaces what was known."""

    engine: Engine


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed: a deadline is due, a retry or a full resync."""

    resync: bool = False


Event: TypeAlias = (
    Dump
    | LinkChanged
    | LinkGone
    | AddressChanged
    | AddressGone
    | RouteChanged
    | RouteGone
    | RuleChanged
    | RuleGone
    | NeighbourChanged
    | NeighbourGone
    | Leases
    | Served
    | FactReceived
    | FactWithdrawn
    | BusChanged
    | Remembered
    | Wished
    | HealthChanged
    | ReachChanged
    | ListsRead
    | LocalTime
    | EngineSeen
    | Tick
)
