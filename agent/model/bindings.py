"""What our own DHCP servers have leased (Kea's words): addresses to hosts, prefixes to routers downstream."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv6Address, IPv6Network

from agent.model.kernel import IPAddress


@dataclass(frozen=True, slots=True)
class Binding:
    """A lease of an address or of a prefix. `duid`: hex with colons, of DHCPv6; `mac` empty where it is not known.

    It says not how long it holds: a renewal changes nothing that anybody plans by.
    """

    leased: IPAddress | IPv6Network
    mac: str = ""
    hostname: str = ""
    duid: str = ""


@dataclass(frozen=True, slots=True)
class Delegated:
    """A prefix that a router downstream holds. `router`: its link-local address, None while nobody knows it."""

    prefix: IPv6Network
    router: IPv6Address | None = None


@dataclass(frozen=True, slots=True)
class NetworkLeases:
    """Topic `leases/<network>`: who has which address there. `more`: how many there are that do not fit."""

    network: str
    leases: tuple[Binding, ...] = ()
    more: int = 0
