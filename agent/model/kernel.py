"""What the kernel and the DHCP clients show: links, addresses, routes, delegations, leases."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network
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


@dataclass(frozen=True, slots=True)
class TcpFlow:
    """A TCP connection as it began: from `source`, the host inside, to `destination`."""

    source: IPAddress
    source_port: int
    destination: IPAddress
    destination_port: int
