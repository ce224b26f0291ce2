"""DHCPv6 of networks whose hosts have global addresses only: from the /64 of the uplink in use, and its lifetimes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from ipaddress import IPv6Address, IPv6Network

from agent.desired.dhcp6 import Dhcp6Subnet, KeaDhcp6Config
from agent.model import Choice, Deadline
from agent.plan.advertise import lifetime
from agent.plan.global6 import PREFERRED_LIMIT, Global6, Lent

_LOW = (1 << 64) - 1


def follow(
    documents: Iterable[KeaDhcp6Config],
    networks: Mapping[str, str],
    choices: Iterable[Choice],
    found: Global6,
    now: float,
) -> tuple[tuple[KeaDhcp6Config, ...], Deadline]:
    """The documents with the subnets of these networks (device → name) moved, and when a lifetime must be less.

    A client learns of another prefix when it renews, at half of a lifetime that is 2700 s at most (RFC 9096 L-15).
    """
    given = tuple(documents)
    if not networks:
        return given, None
    chosen = {choice.network: choice.ipv6.uplink for choice in choices}
    moments: list[float] = []

    def moved(subnets: Iterable[Dhcp6Subnet]) -> Iterator[Dhcp6Subnet]:
        for subnet in subnets:
            name = networks.get(subnet.device)
            if name is None or subnet.pool is None:
                yield subnet
                continue
            lent = next((one for one in found.of(name) if one.uplink == chosen.get(name)), None)
            seconds, again = lifetime(lent.preferred_until, PREFERRED_LIMIT, now) if lent is not None else (0, None)
            moments.extend([again] if again is not None else [])
            yield _moved(subnet, lent, seconds) if lent is not None and seconds else _none(subnet)

    return tuple(replace(document, subnets=tuple(moved(document.subnets))) for document in given), min(
        moments, default=None
    )


def _none(subnet: Dhcp6Subnet) -> Dhcp6Subnet:
    """Without a prefix: options alone."""
    return replace(subnet, pool=None, reservations=())


def _moved(subnet: Dhcp6Subnet, lent: Lent, seconds: int) -> Dhcp6Subnet:
    prefix = lent.prefix

    def there(address: IPv6Address) -> IPv6Address:
        return IPv6Address(int(prefix.network_address) | int(address) & _LOW)

    first, last = subnet.pool or (prefix[0], prefix[0])
    return replace(
        subnet,
        # Leases of another prefix are of another subnet: they are not prolonged.
        number=_number(prefix),
        network=prefix,
        pool=(there(first), there(last)),
        lease=min(subnet.lease, seconds),
        reservations=tuple(replace(one, address=there(one.address)) for one in subnet.reservations),
    )


def _number(prefix: IPv6Network) -> int:
    """Kea's number of it, 1 to 2^32 - 2, the same for the same prefix."""
    return 1 + (int(prefix.network_address) >> 64) % 0xFFFFFFFE
