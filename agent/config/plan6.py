"""The arithmetic of the internal IPv6 plan."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv6Address, IPv6Interface, IPv6Network

NETWORK_LENGTH = 64
DOCKER_LENGTH = 76
CONTAINERS_LENGTH = 80
SUFFIX_BITS = 64
CONTAINER_SUFFIX_BITS = 48
_INDEX_SHIFT = 128 - DOCKER_LENGTH
INDEX_LIMIT = 1 << (DOCKER_LENGTH - NETWORK_LENGTH)


@lru_cache(maxsize=4096)
def numbered(prefix: IPv6Network, subnet: int | None) -> IPv6Network | None:
    """The /64 with that number within the prefix; None without a number or where it does not fit."""
    if subnet is None or prefix.prefixlen > NETWORK_LENGTH or subnet >= 1 << (NETWORK_LENGTH - prefix.prefixlen):
        return None
    return IPv6Network((int(prefix.network_address) | subnet << SUFFIX_BITS, NETWORK_LENGTH))


@dataclass(frozen=True, slots=True)
class Machine:
    """The addresses of a docker host: its prefix, and within it the prefix of its containers."""

    prefix: IPv6Network
    containers: IPv6Network

    @property
    def gateway(self) -> IPv6Interface:
        """The firewall's address towards it: ::1."""
        return IPv6Interface((int(self.prefix.network_address) + 1, self.prefix.prefixlen))

    @property
    def address(self) -> IPv6Address:
        """Its own address: ::2."""
        return IPv6Address(int(self.prefix.network_address) + 2)


def index_limit(site: IPv6Network, base: IPv6Network | None) -> int:
    """The number of indices of docker hosts: /76s of the /64 `base`, without one the /64s of `site`."""
    return INDEX_LIMIT if base is not None else 1 << max(0, NETWORK_LENGTH - site.prefixlen)


def machine_prefix(site: IPv6Network, base: IPv6Network | None, index: int) -> IPv6Network | None:
    """The prefix of a docker host: a /76 of the /64 `base`, without one a /64 of `site`. None where it does not fit."""
    if base is None:
        return numbered(site, index)
    if not 0 <= index < INDEX_LIMIT:
        return None
    return IPv6Network((int(base.network_address) | index << _INDEX_SHIFT, DOCKER_LENGTH))


def containers(prefix: IPv6Network) -> IPv6Network:
    """The /80 of the containers within a docker host's prefix: the second one."""
    return IPv6Network((int(prefix.network_address) | 1 << CONTAINER_SUFFIX_BITS, CONTAINERS_LENGTH))
