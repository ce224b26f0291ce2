"""What router advertisements say: the values that radvd.conf is made from."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv6Address, IPv6Network

from agent.desired import Document


@dataclass(frozen=True, slots=True)
class AdvertisedPrefix:
    """A prefix information option (RFC 4861 section 4.6.2), lifetimes in seconds."""

    prefix: IPv6Network
    preferred: int
    valid: int


@dataclass(frozen=True, slots=True)
class AdvertisedRoute:
    """A route information option (RFC 4191), its lifetime in seconds: 0 withdraws it."""

    prefix: IPv6Network
    lifetime: int


@dataclass(frozen=True, slots=True)
class RadvdInterface:
    """Advertisements on one link. `lifetime`: router lifetime in seconds, 0 for no default router (RFC 4861).

    `routes`: route information (RFC 4191). `dns`, `search`: RDNSS and DNSSL (RFC 8106). `source`: the link-local
    address to speak from, None for the kernel's choice. `managed`, `other`: the M and O flags: DHCPv6 has addresses, or
    other things only. `autonomous`: the A flag, hosts make themselves addresses.
    """

    device: str
    lifetime: int
    prefixes: tuple[AdvertisedPrefix, ...] = ()
    routes: tuple[AdvertisedRoute, ...] = ()
    dns: tuple[IPv6Address, ...] = ()
    search: tuple[str, ...] = ()
    mtu: int | None = None
    source: IPv6Address | None = None
    managed: bool = False
    other: bool = False
    autonomous: bool = True


@dataclass(frozen=True, slots=True)
class RadvdConfig(Document):
    """radvd.conf."""

    interfaces: tuple[RadvdInterface, ...]
