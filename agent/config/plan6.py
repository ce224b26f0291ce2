"""The arithmetic of the internal IPv6 plan."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv6Network

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


def docker_prefix(base: IPv6Network | None, index: int) -> IPv6Network | None:
    """The /76 of a docker host within a /64; None without a /64 or where the index does not fit."""
    if base is None or not 0 <= index < INDEX_LIMIT:
        return None
    return IPv6Network((int(base.network_address) | index << _INDEX_SHIFT, DOCKER_LENGTH))


def containers(prefix: IPv6Network) -> IPv6Network:
    """The /80 of the containers within a docker host's /76: the second one."""
    return IPv6Network((int(prefix.network_address) | 1 << CONTAINER_SUFFIX_BITS, CONTAINERS_LENGTH))
