"""Which parts of the internal plan are delegated to routers downstream."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import IPv6Network

_ROOM = 4  # bits: 16 delegations


def last_free(site: IPv6Network, length: int, taken: Iterable[IPv6Network]) -> IPv6Network | None:
    """The last part of a prefix that has this length and holds nothing taken; None where there is none."""
    others = sorted((t for t in taken if t.overlaps(site)), key=lambda t: int(t.network_address), reverse=True)
    size = 1 << (128 - length)
    start = int(site.broadcast_address) + 1 - size
    while start >= int(site.network_address):
        found = IPv6Network((start, length))
        other = next((t for t in others if t.overlaps(found)), None)
        if other is None:
            return found
        start = (int(other.network_address) - size) // size * size
    return None


def pools(
    site: IPv6Network, lengths: Mapping[str, int], chosen: Mapping[str, IPv6Network], taken: Iterable[IPv6Network]
) -> dict[str, IPv6Network]:
    """Name → the part of the prefix to delegate prefixes of its length from: the one chosen, else the last free one."""
    found, others = dict(chosen), [*taken, *chosen.values()]
    for name, length in lengths.items():
        for size in range(max(length - _ROOM, site.prefixlen + 1), length + 1) if name not in found else ():
            if (pool := last_free(site, size, others)) is not None:
                found[name] = pool
                others.append(pool)
                break
    return found
