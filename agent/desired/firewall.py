"""What the firewall's generated files and rules are made from."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Interface, IPv6Network
from typing import Literal, TypeAlias

from agent.desired import Table
from agent.desired.docker_hosts import Exposed, Machines
from agent.model import Family, IPNetwork

Action: TypeAlias = Literal["accept", "drop", "reject"]
FIREWALL_LINK_LOCAL = IPv6Interface("fe80::1/64")
INTERNET = "internet"
FIREWALL = "firewall"
# Bits of packet and connection marks above the uplink's number (mask 0xff). PINNED: the connection has no other uplink
# to go to (it came in by this one, or a rule says `only`). RULED: a rule with `via` chose it, not the network's order.
PINNED = 0x100
RULED = 0x200
# The mark of packets that the firewall forges to end connections: of no uplink, and no connection begins with them.
FORGED_MARK = 0x40000000


@dataclass(frozen=True, slots=True)
class Match:
    """All criteria given must hold. `source_mac`: lower case. `protocol`: as nft names it, else its number.

    `ports`: (first, last), of TCP and UDP. `types`: of ICMP and ICMPv6. `source_list`, `destination_list`: names of
    lists whose addresses of `family` are meant. `source_zone`, `destination_zone`: a zone in whose global prefixes the
    addresses of that side, low 64 bits alone, are meant; empty for addresses as they are.
    """

    family: Family | None = None
    sources: tuple[IPNetwork, ...] = ()
    source_mac: str = ""
    destinations: tuple[IPNetwork, ...] = ()
    protocol: str = ""
    ports: tuple[tuple[int, int], ...] = ()
    types: tuple[int, ...] = ()
    source_list: str = ""
    destination_list: str = ""
    source_zone: str = ""
    destination_zone: str = ""


@dataclass(frozen=True, slots=True)
class Limit:
    """New connections per `unit`; `burst` at once; `per_source`: for each source address by itself."""

    number: int
    unit: Literal["second", "minute", "hour", "day"]
    burst: int
    per_source: bool = False


@dataclass(frozen=True, slots=True)
class Steer:
    """Connections of rule `number` take `uplink`; with `only` no other, without it the network's choice at need."""

    number: int
    uplink: str
    only: bool = False


@dataclass(frozen=True, slots=True)
class FilterRule:
    """A rule of the configuration between two zones: it holds when one of `matches` does.

    `counter`: a name that all parts of one rule share, so that it is counted once per connection. `note`: a text for
    its log lines. `window`: (day, first, last second) in UTC when it holds, Sunday 0; None for
    always.
    """

    counter: str
    action: Action
    matches: tuple[Match, ...]
    log: bool = False
    steer: Steer | None = None
    note: str = ""
    limit: Limit | None = None
    window: tuple[tuple[int, int, int], ...] | None = None


@dataclass(frozen=True, slots=True)
class AddressSet:
    """The addresses of a list, disjoint."""

    name: str
    networks: tuple[IPNetwork, ...] = ()

    def __hash__(self) -> int:
        """Cheap: it may have thousands of entries, and is the key of a cache at every event."""
        return hash((self.name, len(self.networks)))


@dataclass(frozen=True, slots=True)
class ZonePair:
    """The rules for new connections from one zone to another; first match wins, the rest is dropped.

    `policy`: what is done with the rest instead, after the forwards.
    """

    source: str
    destination: str
    rules: tuple[FilterRule, ...]
    policy: FilterRule | None = None


@dataclass(frozen=True, slots=True)
class Zone:
    """A network: its device and the subnets whose addresses may be sources there.

    `dhcp4`, `dhcp6`: DHCP is served there. `router`: router advertisements are sent there. `machines`: the lengths of
    the prefixes that docker hosts have there, each accepted from its own MAC alone. `lent`: its hosts may have global
    addresses.
    """

    name: str
    device: str
    subnets4: tuple[IPv4Network, ...] = ()
    subnets6: tuple[IPv6Network, ...] = ()
    dhcp4: bool = False
    dhcp6: bool = False
    router: bool = False
    machines: tuple[int, ...] = ()
    lent: bool = False


@dataclass(frozen=True, slots=True)
class AcceptedForward:
    """Ports of an inside host that a port forward leads to, `first` to `last`."""

    address: IPv4Address
    protocol: Literal["tcp", "udp"]
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class FirewallPolicy:
    """What the firewall's chains are made from: it changes with the configuration and the names of devices only.

    `zones` are the networks without the transit network. `closed`: devices of ours that carry no packets of their own
    (a trunk). `balanced`: zones whose uplinks may share new connections. `bus_port`: our broker's TCP port on
    interfaces that are not ours, None when it is elsewhere. `bus_room`: so many connections to it may come from the
    networks, None for any number. `internal6`: `site.prefix`. `local_outside`: unique local
    addresses exist beyond an uplink (a tunnel), so packets to them may leave. `outside6`: addresses of `internal6`
    that an uplink itself has (the same prefix inside and outside). `counted`: (counter, fingerprint of the rule that it
    counts): what has the same fingerprint in the next policy goes on counting.
    """

    zones: tuple[Zone, ...]
    transit: Zone
    pairs: tuple[ZonePair, ...]
    forwards: tuple[AcceptedForward, ...]
    internal6: IPv6Network
    closed: tuple[str, ...] = ()
    bus_port: int | None = None
    bus_room: int | None = None
    local_outside: bool = False
    outside6: tuple[IPv6Address, ...] = ()
    balanced: tuple[str, ...] = ()
    lists: tuple[str, ...] = ()
    counted: tuple[tuple[str, str], ...] = ()

    def __hash__(self) -> int:
        """Cheap: a policy is the key of a cache at every event, and few exist."""
        return hash((self.transit.device, len(self.zones), len(self.pairs), len(self.forwards)))


@dataclass(frozen=True, slots=True)
class Balance:
    """Uplinks that share a zone's new connections of one family: (mark, weight). `sticky`: each source keeps one."""

    zone: str
    family: Family
    shares: tuple[tuple[int, int], ...]
    sticky: bool = False


@dataclass(frozen=True, slots=True)
class FirewallTable(Table):
    """The firewall's rules: the policy, and what events change, as map elements.

    `choice4`, `choice6`: (device, mark) of the uplink that new connections from there take. `ingress`: (MAC on the
    DMZ, mark). `external4`, `external6`: (addresses of an uplink, mark), disjoint. `steered4`, `steered6`: (device,
    rule, mark) of rules whose uplink can be used. `machines`: by zone. `exposed`: by docker host; what their containers
    have open from outside, beyond what rules open. `lent6`: (zone, /64, mark) of global addresses, mark 0 where it was
    withdrawn.
    """

    policy: FirewallPolicy
    choice4: tuple[tuple[str, int], ...] = ()
    choice6: tuple[tuple[str, int], ...] = ()
    ingress: tuple[tuple[str, int], ...] = ()
    external4: tuple[tuple[IPv4Network, int], ...] = ()
    external6: tuple[tuple[IPv6Network, int], ...] = ()
    lists: tuple[AddressSet, ...] = ()
    steered4: tuple[tuple[str, Steer, int], ...] = ()
    steered6: tuple[tuple[str, Steer, int], ...] = ()
    balances: tuple[Balance, ...] = ()
    machines: tuple[Machines, ...] = ()
    exposed: tuple[Exposed, ...] = ()
    lent6: tuple[tuple[str, IPv6Network, int], ...] = ()
