"""A list of rules divided into chains gives every packet the verdict, and the rule, of its first match."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from ipaddress import IPv6Network, ip_address, ip_network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.desired.firewall import FilterRule, FirewallPolicy, Limit, Match, Zone, ZonePair
from agent.model import Family, IPNetwork
from agent.render.nft_firewall_rules import Pairs, meters, rule_lines
from agent.render.nft_firewall_split import ENOUGH, divided
from tests.unit.test_rule_groups import ACTIONS, MACS, Packet, fits, one_by_one, to_hosts

Marked = dict[str, tuple[FilterRule, Match]]


def marked(
    rules: tuple[FilterRule, ...], rest: tuple[str, ...] | None = None
) -> tuple[list[str], dict[str, list[str]], Marked]:
    """The lines, the chains, and which match each line of a rule stands for."""
    known: Marked = {}

    def render(part: tuple[FilterRule, ...]) -> list[str]:
        found = []
        for rule in part:
            for match in rule.matches:
                text = f"{rule.counter} {match!r}"
                known[text] = (replace(rule, matches=(match,)), match)
                found.append(text)
        return found

    lines, chains = divided("c", rules, render, rest)
    return lines, dict(chains), known


def number(text: str) -> int:
    return int(text.replace(":", ""), 16) if text.count(":") == 5 else int(ip_address(text))


def value(kind: str, word: str, packet: Packet) -> int | None:
    """The packet's value of a criterion, None where it has none of that kind."""
    if kind == "ether":
        return number(packet.mac)
    if word == "dport":
        return packet.port if packet.protocol == kind else None
    network = packet.source if word == "saddr" else packet.destination
    return int(network.network_address) if kind == ("ip" if network.version == 4 else "ip6") else None


def led_to(line: str, packet: Packet) -> str | None:
    """The chain that a look-up leads a packet to."""
    kind, word, _, elements = line.split(" ", 3)
    found = value(kind, word, packet)
    for element in elements.strip("{} ").split(", "):
        span, _, chain = element.partition(" : goto ")
        first, _, last = span.partition("-")
        if "/" in span:
            network = ip_network(span)
            ends = (int(network[0]), int(network[-1]))
        else:
            ends = (int(first), int(last or first)) if word == "dport" else (number(first), number(last or first))
        if found is not None and ends[0] <= found <= ends[1]:
            return chain
    return None


def decided(
    rules: tuple[FilterRule, ...], packet: Packet, rest: tuple[str, ...] | None = None
) -> tuple[tuple[str, str] | None, int]:
    """The rule and its action, and how many lines the packet met."""
    lines, chains, known = marked(rules, rest)
    met = 0
    lines = [*lines, "return"]
    while lines:
        line, *lines = lines
        if line.startswith("jump "):
            lines = [*chains[line.removeprefix("jump ")], "return", *lines]
        elif rest and line == rest[-1]:
            return ("rest", line), met
        elif line == "return":
            continue
        elif line in known:
            met += 1
            rule, match = known[line]
            if fits(match, packet):
                return (rule.counter, rule.action), met
        elif (chain := led_to(line, packet)) is not None:
            lines = [*chains[chain], *lines[lines.index("return") :]]
    return None, met


HOSTS: dict[Family, str] = {4: "10.0.0.{}", 6: "fd00::{:x}"}
PLACES = st.integers(0, 31)


@st.composite
def matches(draw: st.DrawFn) -> Match:
    """Of many hosts, subnets, MACs and ports, so that there is something to divide."""
    family: Family = draw(st.sampled_from((4, 6)))

    def side() -> tuple[IPNetwork, ...]:
        place, length = draw(PLACES), draw(st.sampled_from((0, 0, 1, 3)))
        found = ip_network(f"{HOSTS[family].format(place >> length << length)}/{(32 if family == 4 else 128) - length}")
        return draw(st.sampled_from(((), (found,), (found,))))

    protocol = draw(st.sampled_from(("", "tcp", "udp", "udp")))
    port = draw(PLACES)
    ports = draw(st.sampled_from(((), ((port, port),), ((port, port + 5), (port + 9, port + 9))))) if protocol else ()
    sources, destinations = side(), side()
    asked = family if sources or destinations else None
    match = Match(asked, sources, draw(st.sampled_from(("", *MACS))), destinations, protocol, ports)
    if family == 6 and draw(st.booleans()):
        match = replace(
            match,
            sources=low_bits(sources),
            source_zone="a" if sources else "",
            destinations=low_bits(destinations),
            destination_zone="b" if destinations else "",
        )
    return match


def low_bits(networks: tuple[IPNetwork, ...]) -> tuple[IPNetwork, ...]:
    """What a match has that means addresses in a zone's global prefixes."""
    return tuple(IPv6Network(int(network.network_address) & 0xFFFF_FFFF_FFFF_FFFF) for network in networks)


RULES = st.lists(st.tuples(st.sampled_from(ACTIONS), st.lists(matches(), min_size=1, max_size=2)), max_size=40).map(
    lambda bodies: tuple(FilterRule(f"rule_{n}", action, tuple(found)) for n, (action, found) in enumerate(bodies, 1))
)
ENDS = st.sampled_from((*HOSTS.values(), "2001:db8::{:x}")).flatmap(
    lambda hosts: st.tuples(*(PLACES.map(lambda place: ip_network(hosts.format(place))) for _ in range(2)))
)
PACKETS = st.builds(
    lambda mac, ends, protocol, port: Packet(mac, ends[0], ends[1], protocol, port),
    st.sampled_from(MACS),
    ENDS,
    st.sampled_from(("tcp", "udp", "sctp")),
    PLACES,
)


@settings(deadline=None, max_examples=60)
@given(RULES, st.lists(PACKETS, min_size=20, max_size=40))
def test_every_packet_gets_the_rule_of_its_first_match(rules: tuple[FilterRule, ...], packets: list[Packet]) -> None:
    for packet in packets:
        wanted = one_by_one(rules, packet)
        assert decided(rules, packet)[0] == wanted
        assert decided(rules, packet, ("drop",))[0] == (wanted or ("rest", "drop"))


def test_low_bits_are_met_in_any_prefix() -> None:
    """A rule for hosts that have global addresses is in each chain, not in that of `::5`."""
    hosts = [ip_network(f"fd00::{n:x}") for n in range(1, 40)]
    lent = Match(6, destinations=low_bits((hosts[4],)), destination_zone="b", protocol="tcp", ports=((1, 9),))
    plain = (
        FilterRule(f"rule_{n}", "accept", (Match(6, destinations=(h,)),), log=True) for n, h in enumerate(hosts, 2)
    )
    rest = FilterRule("rule_99", "accept", (Match(6, destinations=(ip_network("2001:db8::/32"),)),))
    rules = (FilterRule("rule_1", "drop", (lent,)), *plain, rest)
    assert marked(rules)[1]
    host, other = (ip_network(f"2001:db8::{place}") for place in (5, 6))
    packet = Packet("02:00:00:00:00:01", ip_network("2001:db8:9::1"), host, "tcp", 3)
    assert decided(rules, packet)[0] == ("rule_1", "drop")
    assert decided(rules, replace(packet, destination=other))[0] == ("rule_99", "accept")


def subnet_and_range(number: int) -> Match:
    subnet = ip_network(f"10.{number // 200}.{number % 200}.0/28")
    return Match(4, destinations=(subnet,), protocol="tcp", ports=((number, number + 9),))


def many(count: int) -> tuple[FilterRule, ...]:
    """Rules to one subnet after the other, of ranges of ports and both actions."""
    return tuple(
        FilterRule(
            f"rule_{n}",
            "accept" if n % 2 else "drop",
            (subnet_and_range(n),),
            limit=Limit(5, "second", 5) if n % 5 == 0 else None,
        )
        for n in range(1, count + 1)
    )


def test_of_many_rules_a_packet_meets_a_few() -> None:
    rules = many(2000)
    packet = Packet("02:00:00:00:00:01", ip_network("10.0.0.1"), ip_network("10.9.190.3"), "tcp", 1995)
    assert decided(rules, packet) == (("rule_1990", "drop"), 1)
    nobody = replace(packet, destination=ip_network("10.99.0.1"))
    assert decided(rules, nobody) == (None, 0)


def test_what_is_the_same_in_all_criteria_is_not_divided() -> None:
    same = tuple(FilterRule(f"rule_{n}", "drop", (Match(4, source_list=f"list{n}"),)) for n in range(1, 4 * ENOUGH))
    lines, chains, _ = marked(same)
    assert len(lines) == len(same)
    assert not chains


def test_all_lines_of_a_rule_share_its_rate() -> None:
    rated = FilterRule("rule_99", "accept", (Match(protocol="tcp"), Match(protocol="udp")), limit=Limit(5, "minute", 3))
    rules = (rated, *many(40))
    pair = ZonePair("a", "b", rules)
    lines, chains = _Pairs(rules).rules("fwd_a_b", "a", "b", ["drop"])
    found = [line for body in (lines, *chains) for line in body if line.endswith("counter name rule_99 accept")]
    assert len(found) > 2 * ENOUGH
    assert {line.split(" limit ")[1].split(" counter")[0].strip() for line in found} == {"name rule_99_rate"}
    zone = Zone("a", "a")
    policy = FirewallPolicy((zone,), zone, (pair,), (), IPv6Network("fd00::/48"))
    assert meters(policy)[-1] == "limit rule_99_rate { rate 5/minute burst 3 packets }"


class _Pairs(Pairs):
    """Of one pair."""

    def __init__(self, rules: tuple[FilterRule, ...]) -> None:
        self._pairs = {("a", "b"): ZonePair("a", "b", rules)}


def test_a_large_look_up_stands_between_lists_that_are_divided() -> None:
    rules = (*many(40), *to_hosts(250, "accept"), *many(40))
    lines, chains = _Pairs((*rules, *to_hosts(10, "drop"))).rules("fwd_a_b", "a", "b", ["drop"])
    assert chains
    assert len(lines) < 2 * ENOUGH


@pytest.mark.lab
def test_nft_takes_what_is_divided() -> None:
    rules = many(300)
    macs = tuple(
        FilterRule(f"rule_{n}", "drop", (Match(source_mac=f"02:00:00:00:00:{n:02x}", protocol="udp", ports=((1, n),)),))
        for n in range(1, 99)
    )
    six = tuple(
        FilterRule(f"rule_{n}", "accept", (Match(6, (ip_network(f"fd00:{n:x}::/{40 + n % 9}"),)),), log=True)
        for n in range(1, 99)
    )

    def render(part: tuple[FilterRule, ...]) -> list[str]:
        return [line for rule in part for line in rule_lines(rule, "a>b")]

    text = "".join(f"counter {rule.counter} {{ }}\n" for rule in rules)
    text += "".join(f"limit {r.counter}_rate {{ rate 5/second burst 5 packets }}\n" for r in rules if r.limit)
    for name, found in (("x", rules), ("y", macs), ("z", six)):
        lines, chains = divided(name, found, render)
        assert chains
        for each, body in (*chains, (f"{name}_all", lines)):
            text += f"chain {each} {{\n" + "\n".join(body) + "\n}\n"
    command = ["unshare", "-n", "nft", "-f", "-"]
    text = f"table inet try {{\n{text}}}\n"
    done = subprocess.run(command, input=text, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
