"""What a rule matches between two zones: alternatives of criteria."""

from __future__ import annotations

from collections.abc import Iterator

from agent.config.rule import Rule, Traffic
from agent.config.settings import FIREWALL, INTERNET, Settings
from agent.desired.firewall import Match
from agent.model import Family
from agent.plan.rule_ends import End, ends

# nft's words for protocols; all others go by their number. One word for each: rules are told apart by it.
_PROTOCOLS = {
    1: "icmp", 6: "tcp", 17: "udp", 47: "gre", 50: "esp", 51: "ah", 58: "ipv6-icmp", 132: "sctp",
}  # fmt: skip


def merged(ports: list[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Port ranges sorted, overlapping and touching ones made one: nft takes no overlap in a set."""
    result: list[tuple[int, int]] = []
    for first, last in sorted(ports):
        if result and first <= result[-1][1] + 1:
            result[-1] = (result[-1][0], max(last, result[-1][1]))
        else:
            result.append((first, last))
    return tuple(result)


def _protocol(traffic: Traffic) -> str:
    found = traffic.protocol
    if isinstance(found, int):
        return _PROTOCOLS.get(found, str(found))
    return found or ""


def _families(rule: Rule, traffic: Traffic, source: End, destination: End) -> tuple[Family | None, ...]:
    """The families to tell apart; None alone where the rule is the same in both."""
    own = traffic.family
    addressed = destination.only or (source.only and not source.mac)
    if not addressed and not rule.family:
        # `icmp` says IPv4 already; in IPv6 its number means nothing.
        return (own,)
    return tuple(family for family in rule.families if own in {None, family})


def _between(rule: Rule, source: End, destination: End) -> Iterator[Match]:
    for traffic in rule.traffic:
        for family in _families(rule, traffic, source, destination):
            if family and any(end.only and not end.mac and not end.has(family) for end in (source, destination)):
                continue  # nothing there has an address of this family
            yield Match(
                family,
                source.of(family) if family else (),
                source.mac,
                destination.of(family) if family else (),
                _protocol(traffic),
                merged(list(traffic.ports)),
                traffic.types,
                source.list_name,
                destination.list_name,
                source.zone if source.suffixes else "",
                destination.zone if destination.suffixes else "",
            )


def matches(settings: Settings, rule: Rule) -> dict[tuple[str, str], tuple[Match, ...]]:
    """The alternatives of a rule in each pair of zones where it has any."""
    found: dict[tuple[str, str], dict[Match, None]] = {}
    destinations = ends(settings, rule.to, source=False)
    for source in ends(settings, rule.from_, source=True):
        for destination in destinations:
            pair = (source.zone, destination.zone)
            if pair[0] == pair[1] and pair[0] in {INTERNET, FIREWALL}:
                continue
            for match in _between(rule, source, destination):
                found.setdefault(pair, {})[match] = None
    return {pair: tuple(alternatives) for pair, alternatives in found.items()}
