"""All that an agent knows at one moment: the `State`, other nodes, and what it remembers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv6Network
from types import MappingProxyType
from typing import Literal, TypeAlias

from agent.model.bindings import Binding, Delegated
from agent.model.containers import Containers, Engine
from agent.model.facts import (
    NodeInfo,
    NodeState,
    UplinkHealth,
    UplinkIPv4,
    UplinkIPv6,
    UplinkLink,
)
from agent.model.kernel import (
    Address,
    Deadline,
    Delegation,
    Family,
    IPAddress,
    IPInterface,
    IPNetwork,
    Lease,
    Link,
    Neighbour,
    PolicyRule,
    Route,
)


@dataclass(frozen=True, slots=True)
class Peer:
    """What another node says of itself, last known and not expired. Delegations are keyed by their prefix length."""

    state: NodeState | None = None
    info: NodeInfo | None = None
    link: UplinkLink | None = None
    ipv4: UplinkIPv4 | None = None
    ipv6: UplinkIPv6 | None = None
    health: UplinkHealth | None = None
    delegations: Mapping[int, Delegation] = field(default_factory=lambda: MappingProxyType({}))
    containers: Containers | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """How an uplink's family fares: well or not `since` a moment (CLOCK_BOOTTIME).

    `flaps`: failures that are not forgotten yet. `away`: it failed, and nobody has asked for it by hand since.
    """

    well: bool
    since: float
    flaps: int = 0
    away: bool = False


@dataclass(frozen=True, slots=True)
class Selection:
    """The uplinks that a network's family uses `since` a moment (CLOCK_BOOTTIME).

    `left`: those used before, whose connections may still be there.
    """

    uplinks: tuple[str, ...]
    since: float
    left: tuple[str, ...] = ()


WishKind: TypeAlias = Literal["drain", "enable", "prefer"]


@dataclass(frozen=True, slots=True)
class Wish:
    """What a person asked of an uplink, and when (CLOCK_BOOTTIME)."""

    kind: WishKind
    at: float


@dataclass(frozen=True, slots=True)
class Held:
    """A global /64 that hosts of `network` may hold addresses of, from a delegation of `uplink`.

    `until`: None while it is announced as usable; once it is withdrawn, the moment (CLOCK_BOOTTIME) from which on no
    host can hold it.
    """

    network: str
    prefix: IPv6Network
    uplink: str
    until: Deadline = None


@dataclass(frozen=True, slots=True)
class Memory:
    """What cannot be observed and must survive a restart (`/var/lib/router`).

    `marks`: uplink → its mark and number of its routing table minus 1000; allocated once, never reused.
    `npt`: network → the external /64's id (the bits between the delegated length and 64) last given to it.
    `standings`: `<uplink>/<4 or 6>` → how it fares. `selections`: `<network>/<4 or 6>` → what is in use.
    `wishes`: uplink → what a person asked; only the reducer changes them. `held`: global prefixes that hosts may have.
    """

    marks: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    npt: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    standings: Mapping[str, Standing] = field(default_factory=lambda: MappingProxyType({}))
    selections: Mapping[str, Selection] = field(default_factory=lambda: MappingProxyType({}))
    wishes: Mapping[str, Wish] = field(default_factory=lambda: MappingProxyType({}))
    held: tuple[Held, ...] = ()


Reachability: TypeAlias = Literal["unknown", "up", "refused", "silent"]


@dataclass(frozen=True, slots=True)
class Reach:
    """What the firewall's own probe of an ingress on the DMZ says, per family.

    `refused`: it lives and says that its uplink carries nothing of that family; `silent`: it does not answer.
    """

    ipv4: Reachability = "unknown"
    ipv6: Reachability = "unknown"


@dataclass(frozen=True, slots=True)
class ListContent:
    """The addresses of a list of the configuration as last read, and why the last reading failed (empty: it did not).

    A failure keeps the addresses that were last good. `hint`: how to mend it.
    """

    networks: tuple[IPNetwork, ...] = ()
    error: str = ""
    hint: str = ""


AddressKey: TypeAlias = tuple[int, IPInterface]


@dataclass(frozen=True, slots=True)
class State:
    """Everything known at one moment. `synced` is False until the first complete dump: nothing is planned before.

    `flowtable`: whether this kernel offloads flows, `forwards_tls`: whether this named asks forwarders over TLS, both
    known from the start on.
    `health`: this ingress's own probes, None until they have a first verdict; a family that it lacks is not verified.
    `reach`: uplink → what the firewall's own probe of its ingress says. `lists`: name → content of the lists that are
    read from files and names. `utc_offset`: seconds that local time is ahead of UTC now. `engine`: what the container
    engine of this docker host says; there the first look at it makes the state `synced`. `bindings`,
    `delegated`: what our DHCP servers have leased; `lease_errors`: (message, hint), what is wrong with what they write.
    """

    synced: bool = False
    links: Mapping[int, Link] = field(default_factory=lambda: MappingProxyType({}))
    addresses: Mapping[AddressKey, Address] = field(default_factory=lambda: MappingProxyType({}))
    routes: frozenset[Route] = frozenset()
    rules: frozenset[PolicyRule] = frozenset()
    neighbours: Mapping[tuple[int, IPAddress], Neighbour] = field(default_factory=lambda: MappingProxyType({}))
    leases: Mapping[tuple[str, Family], Lease] = field(default_factory=lambda: MappingProxyType({}))
    peers: Mapping[str, Peer] = field(default_factory=lambda: MappingProxyType({}))
    memory: Memory = Memory()
    bus_connected: bool = False
    flowtable: bool = False
    forwards_tls: bool = True
    health: UplinkHealth | None = None
    reach: Mapping[str, Reach] = field(default_factory=lambda: MappingProxyType({}))
    lists: Mapping[str, ListContent] = field(default_factory=lambda: MappingProxyType({}))
    utc_offset: int = 0
    engine: Engine | None = None
    bindings: tuple[Binding, ...] = ()
    delegated: tuple[Delegated, ...] = ()
    lease_errors: tuple[tuple[str, str], ...] = ()

    def link(self, name: str) -> Link | None:
        """The link of that name."""
        return next((link for link in self.links.values() if link.name == name), None)

    def addresses_of(self, index: int) -> tuple[Address, ...]:
        """All addresses of a link, in a stable order."""
        mine = (address for address in self.addresses.values() if address.index == index)
        return tuple(sorted(mine, key=lambda a: (a.ip.version, int(a.ip.ip), a.ip.network.prefixlen)))
