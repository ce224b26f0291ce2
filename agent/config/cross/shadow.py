"""Rules that can never match: an earlier one takes all of it, or no packet fits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network

from agent.config.address_list import literal
from agent.config.base import MendError
from agent.config.finding import Complaint
from agent.config.rule import Rule, Traffic
from agent.config.settings import ANY, FIREWALL, INTERNET, Settings

# An end of a rule and what may stand for more than it: looked up, not searched, so thousands of rules cost little.
# Beyond so many earlier rules between the same two ends the rest is not compared.
_MOST = 200


def check(settings: Settings) -> Iterator[Complaint]:
    """Warnings; the earlier rule's line is named in the message."""
    found = _Earlier(settings)
    for number, rule in enumerate(settings.rules):
        reason = _nothing(settings, rule)
        if reason:
            yield Complaint(("rules", number), reason, "delete the rule, or change its ends or `family`", "warning")
            continue
        if (before := found.covering(rule)) is not None:
            message = f"this rule never matches: rule {before + 1} takes all that it names"
            mend = "delete it, put it before that rule, or make that rule narrower"
            yield Complaint(("rules", number), message, mend, "warning", see=("rules", before))
        if rule.limit is None and rule.when is None:
            found.add(number, rule)


class _Earlier:
    """The rules so far that hold always, by each pair of their words."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._prefixes = _Prefixes(word for rule in settings.rules for word in (*rule.from_, *rule.to))
        self._rules: dict[tuple[str, str], list[int]] = {}
        self._known: dict[str, tuple[str, ...]] = {}

    def add(self, number: int, rule: Rule) -> None:
        """One more."""
        for source in rule.from_:
            for destination in rule.to:
                self._rules.setdefault((source, destination), []).append(number)

    def covering(self, rule: Rule) -> int | None:
        """The first rule that takes everything of this one; None where none does alone."""
        sources, destinations = self._wider_words(rule.from_[0]), self._wider_words(rule.to[0])
        pairs = ((source, destination) for source in sources for destination in destinations)
        numbers = sorted({number for pair in pairs for number in self._rules.get(pair, [])[:_MOST]})
        return next((number for number in numbers if self._covers(self._settings.rules[number], rule)), None)

    def _covers(self, other: Rule, rule: Rule) -> bool:
        theirs = other.traffic
        return (
            set(rule.families) <= set(other.families)
            and all(set(self._wider_words(word)) & set(other.from_) for word in rule.from_)
            and all(set(self._wider_words(word)) & set(other.to) for word in rule.to)
            and all(any(_wider(mine, wide) for wide in theirs) for mine in rule.traffic)
        )

    def _wider_words(self, word: str) -> tuple[str, ...]:
        """The word, and all words that mean more. In doubt a word does not."""
        if word not in self._known:
            found = [word, ANY]
            if word in self._settings.hosts:
                host = self._settings.hosts[word]
                docker = self._settings.docker_hosts.get(host.docker_host or "")
                found += filter(None, (host.network, docker.network if docker is not None else None))
            elif (prefix := _prefix(word)) is not None:
                found += self._prefixes.around(prefix)
                found += (name for name in self._settings.networks if self._inside(prefix, name))
            self._known[word] = tuple(dict.fromkeys(found))
        return self._known[word]

    def _inside(self, prefix: IPv4Network | IPv6Network, name: str) -> bool:
        if isinstance(prefix, IPv4Network):
            four = self._settings.networks[name].ipv4_network
            return four is not None and prefix.subnet_of(four)
        six = self._settings.network_prefix(name)
        return six is not None and prefix.subnet_of(six)


class _Prefixes:
    """The addresses and prefixes among words, found by what they hold."""

    def __init__(self, words: Iterable[str]) -> None:
        self._found: dict[tuple[int, int, int], str] = {}
        for word in words:
            if (prefix := _prefix(word)) is not None:
                self._found[prefix.version, prefix.prefixlen, int(prefix.network_address)] = word
        self._lengths = {(version, length) for version, length, _ in self._found}

    def around(self, prefix: IPv4Network | IPv6Network) -> Iterator[str]:
        """The words that hold all of a prefix."""
        address, bits = int(prefix.network_address), prefix.max_prefixlen
        for version, length in self._lengths:
            if version == prefix.version and length <= prefix.prefixlen:
                start = address >> (bits - length) << (bits - length)
                if (word := self._found.get((version, length, start))) is not None:
                    yield word


def _wider(mine: Traffic, theirs: Traffic) -> bool:
    """Whether `theirs` is at least as much as `mine`."""
    if theirs.protocol is None:
        return True
    if _number(mine.protocol) != _number(theirs.protocol):
        return False
    types = not theirs.types or (bool(mine.types) and set(mine.types) <= set(theirs.types))
    ports = not theirs.ports or (
        bool(mine.ports)
        and all(any(low <= first and last <= high for low, high in theirs.ports) for first, last in mine.ports)
    )
    return types and ports


def _number(protocol: str | int | None) -> int | None:
    return {"tcp": 6, "udp": 17}[protocol] if isinstance(protocol, str) else protocol


@lru_cache(maxsize=20_000)
def _prefix(word: str) -> IPv4Network | IPv6Network | None:
    try:
        return literal(word)
    except MendError:
        return None


def _nothing(settings: Settings, rule: Rule) -> str:
    """Why no packet can match, empty where one can."""
    families = set(rule.families)
    of_traffic = {family for part in rule.traffic for family in ((part.family,) if part.family else (4, 6))}
    if not families & of_traffic:
        return f"this rule never matches: `family: {rule.family}` and its protocols exclude each other"
    for key, words in (("from", rule.from_), ("to", rule.to)):
        if not families & {family for word in words for family in _families(settings, word)}:
            said = rule.family or "one family"
            return f"this rule never matches: nothing in its `{key}` has an address of {said}"
    both = [{family for word in words for family in _families(settings, word)} for words in (rule.from_, rule.to)]
    if not both[0] & both[1] & families:
        return "this rule never matches: its `from` and `to` have no family in common"
    if set(rule.from_) == set(rule.to) and set(rule.from_) <= {INTERNET, FIREWALL} and len(rule.from_) == 1:
        return f"this rule never matches: nothing passes the router from {rule.from_[0]} to {rule.to[0]}"
    return ""


def _families(settings: Settings, word: str) -> set[int]:
    if word in settings.networks:
        network = settings.networks[word]
        six = network.subnet is not None or any(d.network == word for d in settings.docker_hosts.values())
        # The transit network's nodes have link-local addresses in any case.
        return ({4} if network.ipv4 is not None else set()) | ({6} if six or network.transit else set())
    if word in settings.hosts:
        host = settings.hosts[word]
        return ({4} if host.ipv4 is not None else set()) | ({6} if host.suffix is not None or host.mac else set())
    if word in settings.lists and settings.lists[word].addresses:
        return {prefix.version for prefix in settings.lists[word].addresses}
    prefix = _prefix(word)
    return {prefix.version} if prefix is not None else {4, 6}
