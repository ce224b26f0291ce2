"""What is: the facts an agent knows, as frozen values.

Every deadline is a float of seconds on CLOCK_BOOTTIME, None where it never comes. Addresses, networks and
prefixes are those of `ipaddress`. MACs are lower case with colons, empty where a device has none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network
from types import MappingProxyType
from typing import Literal, TypeAlias

IPAddress: TypeAlias = IPv4Address | IPv6Address
IPInterface: TypeAlias = IPv4Interface | IPv6Interface
IPNetwork: TypeAlias = IPv4Network | IPv6Network
Family: TypeAlias = Literal[4, 6]
Deadline: TypeAlias = float | None

# rtnetlink(7): route protocols and tables. 98 marks what is ours, on routes, rules and addresses.
PROTOCOL_KERNEL = 2
PROTOCOL_RA = 9
PROTOCOL_DHCP = 16
PROTOCOL_OURS = 98
LINK_OURS = "container-router"
TABLE_MAIN = 254
SCOPE_LINK = 253


@dataclass(frozen=True, slots=True)
class Link:
    """A network device as rtnetlink(7) shows it. `parent` is an ifindex in this namespace, of a VLAN or macvlan.

    `alias` is IFLA_IFALIAS: `LINK_OURS` on the links that the agent made.
    """

    index: int
    name: str
    mac: str = ""
    permanent_mac: str = ""
    mtu: int = 1500
    up: bool = False
    carrier: bool = False
    kind: str = ""
    parent: int | None = None
    vlan: int | None = None
    alias: str = ""


@dataclass(frozen=True, slots=True)
class Address:
    """An address on a link. `protocol` is IFA_PROTO (0 where the kernel does not say).

    `created` is the moment on CLOCK_BOOTTIME when the kernel got it (IFA_CACHEINFO's cstamp): conditions that wait
    for a time after an address appears are so observed, not remembered, and survive a restart of the agent.
    """

    index: int
    ip: IPInterface
    scope: int = 0
    tentative: bool = False
    failed: bool = False
    deprecated: bool = False
    protocol: int = 0
    created: float = 0.0
    preferred_until: Deadline = None
    valid_until: Deadline = None


@dataclass(frozen=True, slots=True)
class Route:
    """A route, observed or desired. `kind` is rtnetlink's type: unicast, unreachable, blackhole, local, …"""

    destination: IPNetwork
    index: int | None = None
    gateway: IPAddress | None = None
    table: int = TABLE_MAIN
    metric: int = 0
    protocol: int = PROTOCOL_OURS
    kind: str = "unicast"
    source: IPAddress | None = None
    onlink: bool = False


@dataclass(frozen=True, slots=True)
class PolicyRule:
    """An `ip rule`: ip-rule(8). `iif`: packets that came in there; `lo` is the router's own, empty for all."""

    family: Family
    priority: int
    table: int
    fwmark: int | None = None
    fwmask: int | None = None
    suppress_prefixlength: int | None = None
    source: IPNetwork | None = None
    protocol: int = PROTOCOL_OURS
    iif: str = ""


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A neighbour entry. `state` is the NUD state in lower case: permanent, reachable, stale, failed, …

    `protocol` is the observed NDA_PROTOCOL: ours on the entries that the agent made; a desired entry need not say it.
    """

    index: int
    ip: IPAddress
    mac: str = ""
    state: str = "permanent"
    protocol: int = 0


@dataclass(frozen=True, slots=True)
class Delegation:
    """A delegated IPv6 prefix (RFC 8415 section 6.3) with its lifetimes as deadlines."""

    prefix: IPv6Network
    preferred_until: Deadline = None
    valid_until: Deadline = None


@dataclass(frozen=True, slots=True)
class Lease:
    """What a DHCP client knows beyond netlink, of one interface and family."""

    interface: str
    family: Family
    dns: tuple[IPAddress, ...] = ()
    domain: str = ""
    delegations: tuple[Delegation, ...] = ()


# --- facts that travel on the bus (design.md, The bus) -----------------------------------------------------------


@dataclass(frozen=True, slots=True)
class NodeState:
    """Topic `state`: `lost` means the agent is gone, not the uplink."""

    state: Literal["init", "ready", "disconnected", "lost"]
    session: str


@dataclass(frozen=True, slots=True)
class NodeInfo:
    """Topic `info`."""

    role: Literal["ingress", "firewall"]
    version: str
    schema: int
    config_digest: str


@dataclass(frozen=True, slots=True)
class UplinkLink:
    """Topic `uplink/link`: carrier and MTU (bytes) of the uplink, and the DMZ addresses to route to."""

    carrier: bool
    mtu: int
    ipv4: IPv4Address | None = None
    link_local: IPv6Address | None = None
    mac: str = ""


@dataclass(frozen=True, slots=True)
class UplinkIPv4:
    """Topic `uplink/ipv4`: the uplink's own IPv4 address."""

    address: IPv4Interface
    gateway: IPv4Address | None = None
    dns: tuple[IPAddress, ...] = ()
    valid_until: Deadline = None


IPv6Mode: TypeAlias = Literal["prefix", "networks", "nat66", "routed", "none"]


@dataclass(frozen=True, slots=True)
class PrefixMapping:
    """One 1:1 translation (RFC 6296): `internal` and `external` have the same length."""

    internal: IPv6Network
    external: IPv6Network


@dataclass(frozen=True, slots=True)
class UplinkIPv6:
    """Topic `uplink/ipv6`: the mode of design.md's ladder and the mapping in force.

    `prefix` (1) maps the whole plan, `networks` (2) some networks, the others use `nat66` (an address) if set,
    `nat66` (3) all of them, `routed` (4) translates nothing, `none` (5) is no IPv6 gateway.
    """

    mode: IPv6Mode
    addresses: tuple[IPv6Interface, ...] = ()
    gateway: IPv6Address | None = None
    mappings: tuple[PrefixMapping, ...] = ()
    nat66: IPv6Address | None = None
    dns: tuple[IPAddress, ...] = ()
    valid_until: Deadline = None


@dataclass(frozen=True, slots=True)
class FamilyHealth:
    """Health of one family of an uplink; `loss` 0..1, `rtt` seconds, of the target that answers best.

    `degraded`: it carries packets, but loses or delays too many. `since`: the moment (CLOCK_BOOTTIME) of the verdict.
    """

    up: bool
    loss: float | None = None
    rtt: float | None = None
    degraded: bool = False
    since: float | None = None


@dataclass(frozen=True, slots=True)
class UplinkHealth:
    """Topic `uplink/health`; expired means unknown, never down."""

    ipv4: FamilyHealth | None = None
    ipv6: FamilyHealth | None = None
    valid_until: Deadline = None


@dataclass(frozen=True, slots=True)
class FamilyChoice:
    """The uplink a network uses for one family, None for none, and why in a few words.

    `shares`: uplink → weight where several share new connections; `uplink` is then the one with the most. `since`: the
    moment (CLOCK_BOOTTIME) of this choice. `considered`: (uplink, what speaks against it, empty for nothing), in the
    network's order.
    """

    uplink: str | None
    why: str
    shares: tuple[tuple[str, int], ...] = ()
    since: float | None = None
    considered: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Choice:
    """Topic `choice/<network>`."""

    network: str
    ipv4: FamilyChoice
    ipv6: FamilyChoice

    def of(self, family: Family) -> FamilyChoice:
        """The choice of one family."""
        return self.ipv4 if family == 4 else self.ipv6  # noqa: PLR2004


@dataclass(frozen=True, slots=True)
class PartStatus:
    """Topic `status/<part>`: fingerprint of what was applied, the last error (empty: none)."""

    part: str
    fingerprint: str
    error: str = ""
    hint: str = ""


@dataclass(frozen=True, slots=True)
class TcpFlow:
    """A TCP connection as it began: from `source`, the host inside, to `destination`."""

    source: IPAddress
    source_port: int
    destination: IPAddress
    destination_port: int


Fact: TypeAlias = (
    NodeState | NodeInfo | UplinkLink | UplinkIPv4 | UplinkIPv6 | Delegation | UplinkHealth | Choice | PartStatus
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
class Memory:
    """What cannot be observed and must survive a restart (`/var/lib/router`).

    `marks`: uplink → its mark and number of its routing table minus 1000; allocated once, never reused.
    `npt`: network → the external /64's id (the bits between the delegated length and 64) last given to it.
    `standings`: `<uplink>/<4 or 6>` → how it fares. `selections`: `<network>/<4 or 6>` → what is in use.
    `wishes`: uplink → what a person asked; only the reducer changes them.
    """

    marks: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    npt: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    standings: Mapping[str, Standing] = field(default_factory=lambda: MappingProxyType({}))
    selections: Mapping[str, Selection] = field(default_factory=lambda: MappingProxyType({}))
    wishes: Mapping[str, Wish] = field(default_factory=lambda: MappingProxyType({}))


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

    `flowtable`: whether this kernel offloads flows, known from the start on.
    `health`: this ingress's own probes, None until they have a first verdict; a family that it lacks is not verified.
    `reach`: uplink → what the firewall's own probe of its ingress says. `lists`: name → content of the lists that are
    read from files and names. `utc_offset`: seconds that local time is ahead of UTC now.
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
    health: UplinkHealth | None = None
    reach: Mapping[str, Reach] = field(default_factory=lambda: MappingProxyType({}))
    lists: Mapping[str, ListContent] = field(default_factory=lambda: MappingProxyType({}))
    utc_offset: int = 0

    def link(self, name: str) -> Link | None:
        """The link of that name."""
        return next((link for link in self.links.values() if link.name == name), None)

    def addresses_of(self, index: int) -> tuple[Address, ...]:
        """All addresses of a link, in a stable order."""
        mine = (address for address in self.addresses.values() if address.index == index)
        return tuple(sorted(mine, key=lambda a: (a.ip.version, int(a.ip.ip), a.ip.network.prefixlen)))
