"""What nodes tell each other on the bus (design.md, The bus): one value per topic."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface, IPv6Network
from typing import Literal, TypeAlias

from agent.model.bindings import NetworkLeases
from agent.model.containers import Containers
from agent.model.kernel import (
    Deadline,
    Delegation,
    Family,
    IPAddress,
)


@dataclass(frozen=True, slots=True)
class NodeState:
    """Topic `state`: `lost` means the agent is gone, not the uplink."""

    state: Literal["init", "ready", "disconnected", "lost"]
    session: str


@dataclass(frozen=True, slots=True)
class NodeInfo:
    """Topic `info`."""

    role: Literal["ingress", "firewall", "docker-host"]
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


Fact: TypeAlias = (
    NodeState
    | NodeInfo
    | UplinkLink
    | UplinkIPv4
    | UplinkIPv6
    | Delegation
    | UplinkHealth
    | Choice
    | PartStatus
    | Containers
    | NetworkLeases
)
