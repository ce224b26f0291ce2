"""What an ingress answers for on its uplink, where the provider expects each address on link."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv6Address, IPv6Network


@dataclass(frozen=True, slots=True)
class ProxyNeighbours:
    """Neighbour solicitations (RFC 4861) that link `index` answers with its MAC.

    `known`: addresses that exist. `prefixes`, disjoint: any address there, once somebody asks for it.
    """

    index: int
    mac: str
    prefixes: tuple[IPv6Network, ...] = ()
    known: tuple[IPv6Address, ...] = ()
