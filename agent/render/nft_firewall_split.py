"""Long lists of rules as a tree: a look-up leads to the few that a packet can match.

What `nft_firewall_groups` cannot make one look-up (prefixes, ranges, lists, rates, logs, actions in turns) is divided
by one criterion: source, destination, port or MAC. Each range of values gets a chain of the rules that can match it, in
their order, those without that criterion among them; so a packet meets each rule that it can match, once, and the first
wins. What is still long is divided again by another criterion.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv6Address, summarize_address_range
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple, TypeAlias

from agent.desired.firewall import FilterRule, Match
from agent.model import IPNetwork
from agent.render.nft_text import braced

# So many lines cost a packet less than another look-up.
ENOUGH = 8
_DEPTH = 3
# Rules without the criterion stand in each chain: all together become so many times longer, not more.
_LONGER = 6

Span: TypeAlias = tuple[int, int]
Render: TypeAlias = Callable[[tuple[FilterRule, ...]], list[str]]


@dataclass(frozen=True, slots=True)
class _Criterion:
    """What a list can be divided by, for each kind of packets (a family, a protocol) by itself.

    `spans`: the values that a match asks for, first to last; empty where it does not ask. `has`: whether it can match a
    packet of a kind. `kind`: the one that its values are of. `text`: a span for nft.
    """

    word: str
    kinds: tuple[str, ...]
    kind: Callable[[Match], str]
    spans: Callable[[Match], Sequence[Span]]
    has: Callable[[Match, str], bool]
    text: Callable[[str, Span], str]


class _Part(NamedTuple):
    """A span of values, and the places of the matches that such a packet can have."""

    span: Span
    places: tuple[int, ...]


class _Division(NamedTuple):
    """A list divided: parts by kind, and the places of the matches that do not ask for the criterion."""

    criterion: _Criterion
    parts: dict[str, list[_Part]]
    free: tuple[int, ...]

    @property
    def worst(self) -> int:
        """The most matches that a packet meets."""
        longest = max((len(part.places) for parts in self.parts.values() for part in parts), default=0)
        return max(longest, len(self.free))

    @property
    def size(self) -> int:
        """All matches that are written."""
        chains = {part.places for parts in self.parts.values() for part in parts}
        return sum(map(len, chains)) + len(self.free)


def _family_kind(match: Match) -> str:
    return f"ip{'6' if match.family == 6 else ''}"  # noqa: PLR2004


def _of_family(match: Match, kind: str) -> bool:
    return match.family is None or _family_kind(match) == kind


def _address(kind: str, span: Span) -> str:
    if kind == "ip":
        first, last = (IPv4Address(n) for n in span)
        networks = [str(network) for network in summarize_address_range(first, last)]
        return str(first) if first == last else networks[0] if len(networks) == 1 else f"{first}-{last}"
    low, high = (IPv6Address(n) for n in span)
    networks = [str(network) for network in summarize_address_range(low, high)]
    return str(low) if low == high else networks[0] if len(networks) == 1 else f"{low}-{high}"


def _port(_: str, span: Span) -> str:
    return str(span[0]) if span[0] == span[1] else f"{span[0]}-{span[1]}"


def _mac(_: str, span: Span) -> str:
    return span[0].to_bytes(6, "big").hex(":")


def _whole(networks: tuple[IPNetwork, ...], zone: str) -> Sequence[Span]:
    """The addresses of one side; of low bits within a zone's global prefixes nothing is known here."""
    return () if zone else [(int(n.network_address), int(n.broadcast_address)) for n in networks]


def _macs(match: Match) -> Sequence[Span]:
    number = int(match.source_mac.replace(":", "") or "0", 16)
    return [(number, number)] if match.source_mac else ()


_CRITERIA = (
    _Criterion(
        "daddr",
        ("ip", "ip6"),
        _family_kind,
        lambda match: _whole(match.destinations, match.destination_zone),
        _of_family,
        _address,
    ),
    _Criterion(
        "saddr",
        ("ip", "ip6"),
        _family_kind,
        lambda match: _whole(match.sources, match.source_zone),
        _of_family,
        _address,
    ),
    _Criterion("saddr", ("ether",), lambda _: "ether", _macs, lambda *_: True, _mac),
    _Criterion(
        "dport",
        ("tcp", "udp"),
        lambda match: match.protocol,
        lambda match: match.ports if match.protocol in {"tcp", "udp"} else (),
        lambda match, kind: match.protocol in {"", kind},
        _port,
    ),
)


def _swept(asked: list[tuple[int, int, int]], always: tuple[int, ...], most: int) -> list[_Part] | None:
    """The spans between all ends of (first, last, place), and the places that hold there; None where it is too much."""
    ends: dict[int, tuple[list[int], list[int]]] = {}
    for first, last, place in asked:
        ends.setdefault(first, ([], []))[0].append(place)
        ends.setdefault(last + 1, ([], []))[1].append(place)
    found: list[_Part] = []
    active: dict[int, int] = {}  # place → how many of its spans hold here
    points = sorted(ends)
    size = 0
    for point, following in zip(points, [*points[1:], 0], strict=True):
        begins, stops = ends[point]
        for place in stops:
            active[place] -= 1
            if not active[place]:
                del active[place]
        for place in begins:
            active[place] = active.get(place, 0) + 1
        if active:
            places = tuple(sorted((*active, *always)))
            size += len(places)
            if size > most:
                return None
            found.append(_Part((point, following - 1), places))
    return found


def _divide(criterion: _Criterion, items: list[tuple[int, Match]]) -> _Division | None:
    asked: dict[str, list[tuple[int, int, int]]] = {}
    free = []
    for place, (_, match) in enumerate(items):
        spans = criterion.spans(match)
        if spans:
            asked.setdefault(criterion.kind(match), []).extend((first, last, place) for first, last in spans)
        else:
            free.append(place)
    parts = {}
    for kind, found in asked.items():
        always = tuple(place for place in free if criterion.has(items[place][1], kind))
        swept = _swept(found, always, _LONGER * len(items))
        if swept is None:
            return None
        parts[kind] = swept
    return _Division(criterion, parts, tuple(free)) if parts else None


def _best(items: list[tuple[int, Match]]) -> _Division | None:
    """The division that leaves a packet the fewest matches; None where none makes it half as many."""
    found = [made for criterion in _CRITERIA if (made := _divide(criterion, items)) is not None]
    useful = [made for made in found if 2 * made.worst <= len(items) and made.size <= _LONGER * len(items)]
    return min(useful, key=lambda made: (made.worst, made.size), default=None)


class _Tree:
    """The chains of one list. Each is behind those that it goes to."""

    def __init__(self, name: str, render: Render, rest: tuple[str, ...]) -> None:
        self.chains: list[tuple[str, list[str]]] = []
        self._name = name
        self._render = render
        self._rest = rest

    def lines(self, rules: tuple[FilterRule, ...], depth: int = _DEPTH) -> list[str]:
        """The rules themselves, or the look-ups that lead to them and the rest behind."""
        written = self._render(rules)
        items = [(number, match) for number, rule in enumerate(rules) for match in rule.matches]
        made = _best(items) if len(written) > ENOUGH and depth else None
        if made is None:
            return written
        names: dict[tuple[int, ...], str] = {}
        lookups = []
        for kind in made.criterion.kinds:
            entries = []
            for part in made.parts.get(kind, ()):
                if part.places not in names:
                    body = self.lines(_chosen(rules, items, part.places), depth - 1)
                    names[part.places] = self.named(body)
                entries.append(f"{made.criterion.text(kind, part.span)} : goto {names[part.places]}")
            if entries:
                lookups.append(f"{kind} {made.criterion.word} vmap {braced(entries)}")
        return [*lookups, *self.lines(_chosen(rules, items, made.free), depth - 1)]

    def named(self, body: list[str]) -> str:
        """A new chain."""
        name = f"{self._name}_{len(self.chains) + 1}"
        self.chains.append((name, [*body, *self._rest]))
        return name


def _chosen(
    rules: tuple[FilterRule, ...], items: list[tuple[int, Match]], places: tuple[int, ...]
) -> tuple[FilterRule, ...]:
    """The rules with those of their matches."""
    found = groupby((items[place] for place in places), key=itemgetter(0))
    return tuple(replace(rules[number], matches=tuple(match for _, match in group)) for number, group in found)


def divided(
    name: str, rules: tuple[FilterRule, ...], render: Render, rest: tuple[str, ...] | None = None
) -> tuple[list[str], list[tuple[str, list[str]]]]:
    """The lines of a list, and the chains they lead to: (name beginning with `name`, lines).

    `rest`: what is done with packets that no rule matches, as the end of the lines and of each chain; None where more
    rules come behind the lines.
    """
    tree = _Tree(name, render, rest or ())
    lines = tree.lines(rules)
    if tree.chains and rest is None:
        # What falls through one of the chains returns behind the jump, not to the next look-up.
        lines = [f"jump {tree.named(lines)}"]
    return [*lines, *(rest or ())], tree.chains
