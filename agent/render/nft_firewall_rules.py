"""The rules between zones as lines of nft, and which pairs of zones have any."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from agent.desired.firewall import INTERNET, Action, FilterRule, FirewallPolicy, Limit, Match, ZonePair
from agent.desired.log import LOG_GROUP
from agent.model import Family, IPNetwork
from agent.render.nft_firewall_groups import Lookup, grouped, groups
from agent.render.nft_firewall_split import divided
from agent.render.nft_text import braced

_VERDICTS: dict[Action, str] = {"accept": "accept", "drop": "drop", "reject": "reject with icmpx admin-prohibited"}
# No map: a packet that is on its way while the table is replaced finds nothing in a map of the old one, and would be
# dropped by the chain's policy (seen on 6.18). What belongs to a connection passes without any look-up.
STATE = ("ct state established,related accept", "ct state invalid drop")
_HIGH, _LOW = "ffff:ffff:ffff:ffff::", "::ffff:ffff:ffff:ffff"
LOG_LIMIT = "limit rate 10/second burst 20 packets"
# How long a source is remembered: as long as its rate may speak of.
_REMEMBER = {"second": "1m", "minute": "5m", "hour": "2h", "day": "2d"}


def counters(policy: FirewallPolicy) -> list[str]:
    """One counter per rule and policy of the configuration."""
    names = {rule.counter for pair in policy.pairs for rule in (*pair.rules, pair.policy) if rule is not None}
    what = dict(policy.counted)
    return [
        f'counter {name} {{ comment "{what[name]}" }}' if name in what else f"counter {name} {{ }}"
        for name in sorted(names, key=lambda name: (len(name), name))
    ]


def meters(policy: FirewallPolicy) -> list[str]:
    """What a rule's rate is counted by, one for all its lines. By source: sets, filled by packets.

    An entry goes when a source has been quiet for a while.
    """
    limits = {rule.counter: rule.limit for pair in policy.pairs for rule in pair.rules if rule.limit is not None}
    lines = []
    for name, limit in sorted(limits.items(), key=lambda item: (len(item[0]), item[0])):
        if not limit.per_source:
            lines.append(f"limit {name}_rate {{ {_rate(limit)} }}")
            continue
        lines += [
            f"set {name}_{kind} {{ type {kind}_addr; size 65535; flags dynamic,timeout;"
            f" timeout {_REMEMBER[limit.unit]}; }}"
            for kind in ("ipv4", "ipv6")
        ]
    return lines


def _rate(limit: Limit) -> str:
    return f"rate {limit.number}/{limit.unit} burst {limit.burst} packets"


def _addresses(
    side: str, family: Family | None, networks: tuple[IPNetwork, ...], list_name: str, zone: str = ""
) -> list[str]:
    word = "ip" if family == 4 else "ip6"  # noqa: PLR2004
    if zone:
        suffixes = _one_or_set([str(network.network_address) for network in networks])
        return [f"ip6 {side} & {_HIGH} @global6_{zone} ip6 {side} & {_LOW} {suffixes}"]
    if list_name:
        return [f"{word} {side} @list{family}_{list_name}"]
    if not networks:
        return []
    texts = [str(network).removesuffix("/32" if family == 4 else "/128") for network in networks]  # noqa: PLR2004
    return [f"{word} {side} {texts[0] if len(texts) == 1 else braced(texts)}"]


def _one_or_set(texts: list[str]) -> str:
    return texts[0] if len(texts) == 1 else braced(texts)


def _protocol(match: Match) -> list[str]:
    if match.types:
        word = "icmp" if match.protocol == "icmp" else "icmpv6"
        return [f"{word} type {_one_or_set([str(number) for number in match.types])}"]
    if match.ports:
        texts = [str(first) if first == last else f"{first}-{last}" for first, last in match.ports]
        return [f"{match.protocol} dport {_one_or_set(texts)}"]
    return [f"meta l4proto {match.protocol}"] if match.protocol else []


def criteria(match: Match, rule: FilterRule | None = None) -> str:
    """The criteria of a match, with a space behind each; those of its rule's time window as well."""
    parts = [f"ether saddr {match.source_mac}"] if match.source_mac else []
    sources = _addresses("saddr", match.family, match.sources, match.source_list, match.source_zone)
    destinations = _addresses("daddr", match.family, match.destinations, match.destination_list, match.destination_zone)
    if match.family is not None and not sources and not destinations:
        parts.append(f"meta nfproto ipv{match.family}")
    parts += sources + destinations + _protocol(match)
    if rule is not None and rule.window is not None:
        spans = (f"{day} . {first}-{last}" for day, first, last in rule.window)
        parts.append(f"meta day . meta hour {braced(spans)}")
    return "".join(f"{part} " for part in parts)


def _limits(match: Match, rule: FilterRule) -> Iterator[str]:
    """The rate of a rule, as criteria: for each family by itself where sources are counted.

    All lines of a rule share one rate: it may stand in many chains (nft_firewall_split.py).
    """
    limit = rule.limit
    if limit is None:
        yield ""
        return
    if not limit.per_source:
        yield f"limit name {rule.counter}_rate "
        return
    for family, word in ((4, "ip"), (6, "ip6")):
        if match.family in {None, family}:
            yield f"update @{rule.counter}_ipv{family} {{ {word} saddr limit {_rate(limit)} }} "


def log_lines(found: str, rule: FilterRule, pair: str) -> Iterator[str]:
    """A line for ulogd. It has a limit of its own: a flood is dropped or accepted, not written."""
    if rule.log:
        note = f" {rule.note}" if rule.note else ""
        yield f'{found}{LOG_LIMIT} log group {LOG_GROUP} prefix "{pair} {rule.counter} {rule.action}{note}: "'


def rule_lines(rule: FilterRule, pair: str) -> Iterator[str]:
    """The nft rules of one rule between two zones, `pair` in words."""
    for match in rule.matches:
        found = criteria(match, rule)
        for limit in _limits(match, rule):
            if limit and rule.log:
                # What is over the limit is not logged either: one rule, which does all.
                note = f" {rule.note}" if rule.note else ""
                log = f'log group {LOG_GROUP} prefix "{pair} {rule.counter} {rule.action}{note}: " '
                yield f"{found}{limit}{log}counter name {rule.counter} {_VERDICTS[rule.action]}"
                continue
            yield from log_lines(found, rule, pair)
            yield f"{found}{limit}counter name {rule.counter} {_VERDICTS[rule.action]}"


def chain(name: str, lines: Iterable[str]) -> list[str]:
    """A chain as lines."""
    return [f"chain {name} {{", *(f"    {line}" for line in lines), "}"]


def _part_lines(part: FilterRule | Lookup, words: str) -> Iterator[str]:
    return part.lines(_VERDICTS) if isinstance(part, Lookup) else rule_lines(part, words)


def _runs(rules: tuple[FilterRule, ...]) -> Iterator[tuple[FilterRule, ...] | Lookup]:
    """Large look-ups, and all that stands between two of them as one list."""
    between: tuple[FilterRule, ...] = ()
    for group in groups(rules):
        if not group.large:
            between += group.rules
            continue
        if between:
            yield between
        yield from group.lookups
        between = group.others
    if between:
        yield between


class Pairs:
    """The pairs of zones of one policy."""

    def __init__(self, policy: FirewallPolicy) -> None:
        self._pairs: dict[tuple[str, str], ZonePair] = {(p.source, p.destination): p for p in policy.pairs}
        self.forwarded = {
            zone.name
            for zone in (*policy.zones, policy.transit)
            if any(f.address in subnet for f in policy.forwards for subnet in zone.subnets4)
        }
        self._open = self.forwarded | {zone.name for zone in policy.zones if zone.machines}

    def has(self, source: str, destination: str) -> bool:
        """Whether any new connection may go from one zone to another."""
        return (source, destination) in self._pairs or (source == INTERNET and destination in self._open)

    def rules(
        self, place: str, source: str, destination: str, rest: Iterable[str]
    ) -> tuple[list[str], list[list[str]]]:
        """The rules of a pair and `rest` as the last lines of the chain `place`, and the chains that they lead to."""
        pair = self._pairs.get((source, destination))
        last = tuple(rest)
        if pair is None or not pair.rules:
            return [*last], []

        def render(rules: tuple[FilterRule, ...]) -> list[str]:
            return [line for part in grouped(rules) for line in _part_lines(part, f"{source}>{destination}")]

        lines: list[str] = []
        chains: list[list[str]] = []
        *before, final = _runs(pair.rules)
        for number, part in enumerate(before, 1):
            if isinstance(part, Lookup):
                lines += part.lines(_VERDICTS)
                continue
            found, more = divided(f"{place}_{number}", part, render)
            lines += found
            chains += (chain(*each) for each in more)
        if isinstance(final, Lookup):
            return [*lines, *final.lines(_VERDICTS), *last], chains
        found, more = divided(place, final, render, last)
        return [*lines, *found], [*chains, *(chain(*each) for each in more)]

    def rest(self, source: str, destination: str, otherwise: tuple[str, ...] = ("counter drop",)) -> list[str]:
        """What is done with that which no rule of a pair matches."""
        pair = self._pairs.get((source, destination))
        if pair is None or pair.policy is None:
            return [*otherwise]
        return [*rule_lines(pair.policy, f"{source}>{destination}")]

    def goto(self, place: str, source: str, destination: str) -> str:
        """The way to a pair's chain; a drop where it has none."""
        return f"goto {place}_{source}_{destination}" if self.has(source, destination) else "counter drop"
