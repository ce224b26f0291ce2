"""Many rules as one look-up: what a packet costs does not grow with their number.

Neighbouring rules whose criteria are plain values (addresses, MACs, protocols, ports; no prefix, list, rate, window or
log) become elements of one map, value → the rule's counter. First match wins as before: rules are put together only
where their order means nothing, since all have the same action, or no packet can match two of them. Of rules with the
same action that overlap, another one than the first may count a connection.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product

from agent.desired.firewall import Action, FilterRule, Match
from agent.model import IPNetwork
from agent.render.nft_text import braced, quoted

# Fewer lines of nft are cheaper, and better to read, one by one.
LEAST = 8
# A look-up of so many values stays by itself among rules that are divided (`nft_firewall_split`).
LARGE = 256
# A rule with more values than this stands for itself: a wide range of ports, many addresses to many.
MOST = 64

Fields = tuple[str, ...]
Key = tuple[str, ...]


@dataclass(slots=True)
class Lookup:
    """Rules that are one look-up by `fields`: key → counter and action of the first rule with that key."""

    fields: Fields
    entries: dict[Key, tuple[str, Action]] = field(default_factory=dict)

    @property
    def family(self) -> str:
        """`ip` or `ip6` where its keys have addresses, else empty."""
        return next((word.split()[0] for word in self.fields if word.startswith("ip")), "")

    @property
    def actions(self) -> set[Action]:
        """The actions of its rules."""
        return {action for _, action in self.entries.values()}

    def lines(self, verdicts: dict[Action, str]) -> Iterator[str]:
        """One rule of nft for each action. A counter's look-up that finds nothing ends its rule."""
        for action in ("accept", "drop", "reject"):
            chosen = {key: counter for key, (counter, act) in self.entries.items() if act == action}
            if chosen:
                elements = (f"{' . '.join(key)} : {quoted(counter)}" for key, counter in sorted(chosen.items()))
                yield f"counter name {' . '.join(self.fields)} map {braced(elements)} {verdicts[action]}"


def _plain(networks: tuple[IPNetwork, ...]) -> bool:
    return all(network.num_addresses == 1 for network in networks)


def _fields(match: Match) -> Fields | None:
    """What a match looks at, None where it is more than plain values."""
    if match.source_zone or match.destination_zone:
        return None
    if match.types or match.source_list or match.destination_list or not _plain((*match.sources, *match.destinations)):
        return None
    address = "ip" if match.family == 4 else "ip6"  # noqa: PLR2004
    if match.family is not None and not match.sources and not match.destinations:
        return None
    parts: tuple[tuple[str, object], ...] = (
        ("ether saddr", match.source_mac),
        (f"{address} saddr", match.sources),
        (f"{address} daddr", match.destinations),
        ("meta l4proto", match.protocol),
        ("th dport", match.ports),
    )
    return tuple(name for name, value in parts if value) or None


def _keys(match: Match) -> Iterator[Key]:
    values: list[tuple[str, ...]] = [(match.source_mac,)] if match.source_mac else []
    values += [tuple(str(n.network_address) for n in side) for side in (match.sources, match.destinations) if side]
    values += [(match.protocol,)] if match.protocol else []
    values += (
        [tuple(str(port) for first, last in match.ports for port in range(first, last + 1))] if match.ports else []
    )
    return product(*values)


def _size(match: Match) -> int:
    ports = sum(last - first + 1 for first, last in match.ports) or 1
    return max(len(match.sources), 1) * max(len(match.destinations), 1) * ports


@dataclass(frozen=True, slots=True)
class Group:
    """Neighbouring rules, and the look-ups that some of them became; `others` are those that did not."""

    rules: tuple[FilterRule, ...]
    lookups: tuple[Lookup, ...] = ()
    others: tuple[FilterRule, ...] = ()

    @property
    def large(self) -> bool:
        """Whether it is better as a look-up than divided with its neighbours."""
        return sum(len(lookup.entries) for lookup in self.lookups) >= LARGE


class _Run:
    """Neighbouring rules that may become look-ups, and those between them that may not."""

    def __init__(self) -> None:
        self.rules: list[FilterRule] = []
        self.actions: set[Action] = set()
        self.others: list[FilterRule] = []
        self.lookups: dict[Fields, Lookup] = {}

    def takes(self, rule: FilterRule) -> bool:
        """Whether the rule may join: its place among those here must mean nothing."""
        if self.actions <= {rule.action}:
            return True
        shapes = {*self.lookups, *(_fields(match) or () for match in rule.matches)}
        return not self.others and _keyable(rule) and _disjoint(shapes)

    def add(self, rule: FilterRule) -> None:
        """Put it in; of equal keys the first stays."""
        self.rules.append(rule)
        self.actions.add(rule.action)
        if not _keyable(rule):
            self.others.append(rule)
            return
        for match in rule.matches:
            fields = _fields(match) or ()
            lookup = self.lookups.setdefault(fields, Lookup(fields))
            for key in _keys(match):
                lookup.entries.setdefault(key, (rule.counter, rule.action))

    def done(self) -> Iterator[Group]:
        """What it became, if it has any rule."""
        if self.rules:
            few = sum(len(rule.matches) for rule in self.rules if _keyable(rule)) < LEAST
            yield Group(tuple(self.rules), () if few else tuple(self.lookups.values()), tuple(self.others))


def _disjoint(shapes: set[Fields]) -> bool:
    """Whether no packet can have a key in two of them: one shape, or one of each family."""
    families = [Lookup(fields).family for fields in shapes]
    return len(shapes) == 1 or ("" not in families and len(set(families)) == len(families))


def _keyable(rule: FilterRule) -> bool:
    return all(_fields(match) is not None for match in rule.matches) and sum(map(_size, rule.matches)) <= MOST


def grouped(rules: tuple[FilterRule, ...]) -> Iterator[FilterRule | Lookup]:
    """The rules of a pair of zones, in an order that gives every packet the verdict of its first match."""
    for group in groups(rules):
        yield from group.lookups
        yield from group.others if group.lookups else group.rules


def groups(rules: tuple[FilterRule, ...]) -> Iterator[Group]:
    """The same, with the rules that each look-up was made of."""
    run = _Run()
    for rule in rules:
        if rule.log or rule.limit is not None or rule.window is not None:
            yield from run.done()
            run = _Run()
            yield Group((rule,))
            continue
        if not run.takes(rule):
            yield from run.done()
            run = _Run()
        run.add(rule)
    yield from run.done()
