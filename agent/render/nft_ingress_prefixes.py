"""Prefixes as the chains of an ingress write them."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, collapse_addresses

from agent.desired.ingress import IngressStatic

# The /64 of an address, to be looked up among those that hosts have of the uplink's prefix.
LENT_SOURCE, LENT_DESTINATION = "ip6 saddr & ffff:ffff:ffff:ffff::", "ip6 daddr & ffff:ffff:ffff:ffff::"
_ULA = IPv6Network("fc00::/7")
_LOOPBACK = IPv6Network("::1/128")
SITE_LOCAL = IPv6Network("fec0::/10")
LINK_LOCAL = IPv6Network("fe80::/10")
UNSPECIFIED = IPv6Network("::/128")


def prefixes(found: Iterable[IPv4Network] | Iterable[IPv6Network]) -> list[str]:
    """Without overlaps, which an interval set refuses, and in order."""
    networks = list(found)
    four = collapse_addresses(network for network in networks if isinstance(network, IPv4Network))
    six = collapse_addresses(network for network in networks if isinstance(network, IPv6Network))
    return [str(network) for network in (*four, *six)]


def inner_only(static: IngressStatic) -> list[IPv6Network]:
    """IPv6 prefixes that no packet on the uplink may bear."""
    inner = [prefix for prefix in static.internal6 if prefix not in static.routed6]
    return [*inner, _LOOPBACK if static.private else _ULA]
