"""Rules that can never match: an earlier one takes all of it, or no packet fits."""

from __future__ import annotations

from collections.abc import Iterator
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
        words = {word for rule in settings.rules for word in (*rule.from_, *rule.to)}
        self._literals = sorted(word for word in words if set(word) & set(".:/"))
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
        if word not in self._known:
            names = [ANY, *self._settings.networks, *self._literals]
            self._known[word] = (word, *(wide for wide in names if wide != word and self._within(word, wide)))
        return self._known[word]

    def _within(self, word: str, wide: str) -> bool:
        """Whether all that a word means is meant by another one too. In doubt it is not."""
        settings = self._settings
        if wide == ANY:
            return True
        if word in settings.hosts:
            host = settings.hosts[word]
            docker = settings.docker_hosts.get(host.docker_host or "")
            return wide in {host.network, docker.network if docker is not None else None}
        inner, outer = _prefix(word), _prefix(wide)
        if inner is None:
            return False
        if wide in settings.networks:
            four, six = settings.networks[wide].ipv4_network, settings.network_prefix(wide)
            outer = four if isinstance(inner, IPv4Network) else six
        if isinstance(inner, IPv4Network) and isinstance(outer, IPv4Network):
            return inner.subnet_of(outer)
        return isinstance(inner, IPv6Network) and isinstance(outer, IPv6Network) and inner.subnet_of(outer)


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
