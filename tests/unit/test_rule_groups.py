"""Many rules as one look-up give every packet the verdict, and the rule, of its first match."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from ipaddress import IPv6Network, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.desired.firewall import Action, FilterRule, Limit, Match
from agent.model import Family, IPNetwork
from agent.render.nft_firewall_groups import LEAST, Lookup, grouped
from agent.render.nft_firewall_rules import _VERDICTS

FAMILIES: tuple[Family, ...] = (4, 6)
MACS = ("02:00:00:00:00:01", "02:00:00:00:00:02")
HOSTS: dict[Family, tuple[IPNetwork, ...]] = {
    4: (ip_network("10.0.0.1"), ip_network("10.0.0.2")),
    6: (ip_network("fd00::1"), ip_network("fd00::2")),
}
SUBNETS: dict[Family, IPNetwork] = {4: ip_network("10.0.0.0/30"), 6: ip_network("fd00::/126")}


@dataclass(frozen=True)
class Packet:
    mac: str
    source: IPNetwork
    destination: IPNetwork
    protocol: str
    port: int


GLOBAL = IPv6Network("2001:db8::/64")  # what hosts of any zone have


def among(address: IPNetwork, networks: tuple[IPNetwork, ...], zone: str) -> bool:
    """Whether it is one of a side's addresses; in a zone the low bits say so."""
    if zone:
        low = int(address.network_address) - int(GLOBAL.network_address)
        return any(low == int(network.network_address) for network in networks)
    return not networks or any(address.subnet_of(network) for network in networks)  # type: ignore[arg-type]


def fits(match: Match, packet: Packet) -> bool:
    version = packet.source.version
    return (
        match.family in {None, version}
        and match.source_mac in {"", packet.mac}
        and among(packet.source, match.sources, match.source_zone)
        and among(packet.destination, match.destinations, match.destination_zone)
        and match.protocol in {"", packet.protocol}
        and (not match.ports or any(first <= packet.port <= last for first, last in match.ports))
    )


def value(field: str, packet: Packet) -> str:
    found = {
        "ether saddr": packet.mac,
        f"{'ip' if packet.source.version == 4 else 'ip6'} saddr": str(packet.source.network_address),
        f"{'ip' if packet.source.version == 4 else 'ip6'} daddr": str(packet.destination.network_address),
        "meta l4proto": packet.protocol,
        "th dport": str(packet.port),
    }
    return found.get(field, "another family")


def one_by_one(rules: tuple[FilterRule, ...], packet: Packet) -> tuple[str, Action] | None:
    return next(((r.counter, r.action) for r in rules if any(fits(match, packet) for match in r.matches)), None)


def by_look_up(rules: tuple[FilterRule, ...], packet: Packet) -> tuple[str, Action] | None:
    for part in grouped(rules):
        if isinstance(part, Lookup):
            found = part.entries.get(tuple(value(name, packet) for name in part.fields))
            if found is not None:
                return found
        elif any(fits(match, packet) for match in part.matches):
            return part.counter, part.action
    return None


@st.composite
def matches(draw: st.DrawFn) -> Match:
    family: Family | None = draw(st.sampled_from((None, *FAMILIES)))
    some = (
        st.lists(st.sampled_from((*HOSTS[family], SUBNETS[family])), max_size=2, unique=True) if family else st.just([])
    )
    protocol = draw(st.sampled_from(("", "tcp", "udp")))
    ports = draw(st.sampled_from(((), ((1, 1),), ((2, 3),), ((1, 1), (3, 3))))) if protocol else ()
    mac = draw(st.sampled_from(("", *MACS)))
    return Match(family, tuple(draw(some)), mac, tuple(draw(some)), protocol, ports)


ACTIONS: tuple[Action, ...] = ("accept", "drop", "reject")
BODIES = st.tuples(st.sampled_from(ACTIONS), st.lists(matches(), min_size=1, max_size=2))
RULES = st.lists(BODIES, max_size=30).map(
    lambda bodies: tuple(FilterRule(f"rule_{n}", action, tuple(found)) for n, (action, found) in enumerate(bodies, 1))
)
PACKETS = st.sampled_from(FAMILIES).flatmap(
    lambda family: st.builds(
        Packet,
        st.sampled_from(MACS),
        st.sampled_from(HOSTS[family]),
        st.sampled_from(HOSTS[family]),
        st.sampled_from(("tcp", "udp", "sctp")),
        st.integers(1, 4),
    )
)


@given(RULES, st.lists(PACKETS, min_size=1, max_size=20))
def test_every_packet_gets_the_verdict_of_its_first_match(rules: tuple[FilterRule, ...], packets: list[Packet]) -> None:
    for packet in packets:
        wanted, found = one_by_one(rules, packet), by_look_up(rules, packet)
        assert (found is None) == (wanted is None)
        assert found is None or wanted is None or found[1] == wanted[1]


def to_hosts(count: int, *actions: Action, first: int = 1) -> tuple[FilterRule, ...]:
    return tuple(
        FilterRule(
            f"rule_{number}",
            actions[number % len(actions)],
            (Match(4, destinations=(ip_network(f"10.0.0.{number}"),), protocol="tcp", ports=((443, 443),)),),
        )
        for number in range(first, first + count)
    )


def test_rules_of_one_shape_are_one_look_up_whatever_they_do() -> None:
    (found,) = grouped(to_hosts(100, "accept", "drop", "reject"))
    assert isinstance(found, Lookup)
    assert found.fields == ("ip daddr", "meta l4proto", "th dport")
    assert len(found.entries) == 100
    assert len(list(found.lines(_VERDICTS))) == 3


def test_a_few_rules_stay_as_they_are() -> None:
    few = to_hosts(LEAST - 1, "accept")
    assert tuple(grouped(few)) == few


def test_what_is_more_than_values_stands_between() -> None:
    limited = FilterRule(
        "rule_20", "accept", (Match(4, destinations=(ip_network("10.0.0.9"),)),), limit=Limit(1, "day", 1)
    )
    parts = tuple(grouped((*to_hosts(10, "drop"), limited, *to_hosts(10, "drop", first=30))))
    assert [type(part) for part in parts] == [Lookup, FilterRule, Lookup]


@pytest.mark.lab
def test_nft_takes_every_shape() -> None:
    both = [
        Match(family, sources, mac, destinations, protocol, ports)
        for family in FAMILIES
        for sources in ((), HOSTS[family])
        for destinations in ((), HOSTS[family])
        for mac in ("", MACS[0])
        for protocol, ports in (("", ()), ("tcp", ()), ("udp", ((5, 6),)), ("esp", ()))
        if (sources or destinations) and (sources or not mac or destinations)
    ]
    rules = tuple(FilterRule(f"rule_{number}", "reject", (match,)) for number, match in enumerate(both))
    lines = [line for part in grouped(rules) if isinstance(part, Lookup) for line in part.lines(_VERDICTS)]
    assert len(lines) > 20
    counters = "".join(f"counter {rule.counter} {{ }}\n" for rule in rules)
    text = f"table inet try {{\n{counters}chain try_all {{\n" + "\n".join(lines) + "\n}\n}\n"
    done = subprocess.run(["unshare", "-n", "nft", "-f", "-"], input=text, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
