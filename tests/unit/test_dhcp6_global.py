"""DHCPv6 of networks with global addresses only: the prefix of the uplink in use, and its lifetimes."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv6Address, IPv6Network

from agent.desired.dhcp6 import Dhcp6Subnet, KeaDhcp6Config, Reservation6
from agent.model import Choice, FamilyChoice
from agent.plan.dhcp6_global import follow
from agent.plan.global6 import Global6, Lent

NOW = 100.0
INNER, OUTER = IPv6Network("fd00:1:2:10::/64"), IPv6Network("2001:db8:a:10::/64")
SUBNET = Dhcp6Subnet(
    number=17,
    device="eth0.10",
    network=INNER,
    lease=3600,
    pool=(INNER[0x10000], INNER[0x1FFFF]),
    reservations=(Reservation6(INNER[5], mac="02:00:00:00:00:05"),),
)
OTHER = replace(SUBNET, number=18, device="eth0.20")
FOUND = Global6((Lent("home", OUTER, "kpn", 1, NOW + 1000, NOW + 2000),))


def choice(uplink: str | None) -> Choice:
    return Choice("home", FamilyChoice(None, ""), FamilyChoice(uplink, ""))


def followed(uplink: str | None = "kpn", found: Global6 = FOUND) -> tuple[tuple[Dhcp6Subnet, ...], float | None]:
    (document,), again = follow((KeaDhcp6Config((SUBNET, OTHER)),), {"eth0.10": "home"}, [choice(uplink)], found, NOW)
    return document.subnets, again


def test_pool_and_reservations_are_of_the_uplinks_prefix() -> None:
    (subnet, other), again = followed()
    assert other == OTHER, "a network of its own"
    assert (subnet.network, subnet.pool) == (OUTER, (OUTER[0x10000], OUTER[0x1FFFF]))
    assert subnet.reservations == (Reservation6(IPv6Address("2001:db8:a:10::5"), mac="02:00:00:00:00:05"),)
    assert subnet.number not in {SUBNET.number, OTHER.number}, "old leases are of another subnet"
    assert subnet.lease == 900, "never longer than what the ISP leaves"
    assert again == NOW + 98


def test_without_a_prefix_there_are_options_alone() -> None:
    (subnet, _), again = followed(None)
    assert (subnet.pool, subnet.reservations, again) == (None, (), None)
    ended = Global6((replace(FOUND.lent[0], preferred_until=NOW),))
    assert followed(found=ended)[0][0].pool is None


def test_nothing_is_touched_where_no_network_is_global() -> None:
    documents = (KeaDhcp6Config((SUBNET,)),)
    assert follow(documents, {}, [choice("kpn")], FOUND, NOW) == (documents, None)
