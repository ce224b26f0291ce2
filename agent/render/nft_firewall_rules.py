"""The rules between zones as lines of nft, and which pairs of zones have any."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from agent.desired.firewall import INTERNET, FilterRule, FirewallPolicy, Match, ZonePair
from agent.model import IPNetwork
from agent.render.nft_text import braced

_VERDICTS = {"accept": "accept", "drop": "drop", "reject": "reject with icmpx admin-prohibited"}
STATE = "ct state vmap { invalid : drop, established : accept, related : accept }"
LOG_LIMIT = "limit rate 10/second burst 20 packets"


def counters(policy: FirewallPolicy) -> list[str]:
    """One counter per rule of the configuration."""
    names = {rule.counter for pair in policy.pairs for rule in pair.rules}
    return [f"counter {name} {{ }}" for name in sorted(names, key=lambda name: (len(name), name))]


def _addresses(side: str, networks: tuple[IPNetwork, ...]) -> list[str]:
    if not networks:
        return []
    family = "ip" if networks[0].version == 4 else "ip6"  # noqa: PLR2004
    texts = [str(network).removesuffix("/32" if family == "ip" else "/128") for network in networks]
    return [f"{family} {side} {texts[0] if len(texts) == 1 else braced(texts)}"]


def _ports(match: Match) -> list[str]:
    if not match.protocol:
        return []
    if not match.ports:
        return [f"meta l4proto {match.protocol}"]
    texts = [str(first) if first == last else f"{first}-{last}" for first, last in match.ports]
    return [f"{match.protocol} dport {texts[0] if len(texts) == 1 else braced(texts)}"]


def criteria(match: Match) -> str:
    """The criteria of a match, with a space behind each."""
    parts = [f"ether saddr {match.source_mac}"] if match.source_mac else []
    if match.family is not None and not match.sources and not match.destinations:
        parts.append(f"meta nfproto ipv{match.family}")
    parts += _addresses("saddr", match.sources) + _addresses("daddr", match.destinations) + _ports(match)
    return "".join(f"{part} " for part in parts)


def rule_lines(rule: FilterRule) -> Iterator[str]:
    """The nft rules of one rule. A log line has a limit of its own: a flood is dropped or accepted, not written."""
    for match in rule.matches:
        found = criteria(match)
        if rule.log:
            yield f'{found}{LOG_LIMIT} log prefix "{rule.counter} {rule.action}: "'
        yield f"{found}counter name {rule.counter} {_VERDICTS[rule.action]}"


def chain(name: str, lines: Iterable[str]) -> list[str]:
    """A chain as lines."""
    return [f"chain {name} {{", *(f"    {line}" for line in lines), "}"]


class Pairs:
    """The pairs of zones of one policy."""

    def __init__(self, policy: FirewallPolicy) -> None:
        self._pairs: dict[tuple[str, str], ZonePair] = {(p.source, p.destination): p for p in policy.pairs}
        self.forwarded = {
            zone.name
            for zone in (*policy.zones, policy.transit)
            if any(f.address in subnet for f in policy.forwards for subnet in zone.subnets4)
        }

    def has(self, source: str, destination: str) -> bool:
        """Whether any new connection may go from one zone to another."""
        return (source, destination) in self._pairs or (source == INTERNET and destination in self.forwarded)

    def rules(self, source: str, destination: str) -> list[str]:
        """The rules of a pair, as nft lines."""
        pair = self._pairs.get((source, destination))
        return [line for rule in pair.rules for line in rule_lines(rule)] if pair is not None else []

    def goto(self, place: str, source: str, destination: str) -> str:
        """The way to a pair's chain; a drop where it has none."""
        return f"goto {place}_{source}_{destination}" if self.has(source, destination) else "counter drop"
