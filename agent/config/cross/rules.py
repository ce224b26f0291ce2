"""`rules` and `policies`: words that mean something, and addresses to match."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from agent.config.address_list import literal
from agent.config.base import MendError
from agent.config.fields import near
from agent.config.finding import Complaint, KeyPath
from agent.config.rule import Rule
from agent.config.settings import ANY, FIREWALL, INTERNET, Settings

_WORDS = (INTERNET, FIREWALL, ANY)


def check(settings: Settings) -> Iterator[Complaint]:
    """Each word of each rule and policy."""
    known = dict.fromkeys((*settings.networks, *settings.hosts, *settings.lists, *_WORDS))
    own = _own(settings)
    for number, rule in enumerate(settings.rules):
        for key, words in (("from", rule.from_), ("to", rule.to)):
            for place, word in enumerate(words):
                path: KeyPath = ("rules", number, key, place)
                if set(word) & set(".:/"):
                    yield from _literal(own, path, word)
                elif word in settings.docker_hosts:
                    mend = "write its network, or a host that lives on it"
                    yield Complaint(path, f"`{word}` is a docker host, not a zone", mend)
                elif word not in known:
                    mend = near(word, known, f"write one of {', '.join(known)}")
                    yield Complaint(path, f"there is no network or host `{word}`", mend)
                elif word in settings.hosts:
                    yield from _host(settings, path, rule, word)
        yield from _uplink(settings, ("rules", number), rule)
    yield from _policies(settings)


def _own(settings: Settings) -> dict[object, str]:
    """The router's addresses, and the networks they are in."""
    found: dict[object, str] = {}
    for name, network in settings.networks.items():
        addresses = (network.ipv4, settings.firewall_address6(name))
        found.update({address.ip: name for address in addresses if address is not None})
    return found


def _literal(own: Mapping[object, str], path: KeyPath, word: str) -> Iterator[Complaint]:
    try:
        prefix = literal(word)
    except MendError as error:
        yield Complaint(path, error.message, error.mend)
        return
    if prefix is not None and prefix.num_addresses == 1 and prefix.network_address in own:
        message = f"{word} is the router's own address in `{own[prefix.network_address]}`"
        yield Complaint(path, message, "write `firewall`, which means all its addresses")


def _policies(settings: Settings) -> Iterator[Complaint]:
    zones = (*settings.networks, *_WORDS)
    for number, policy in enumerate(settings.policies):
        for key, words in (("from", policy.from_), ("to", policy.to)):
            for place, word in enumerate(words):
                if word not in zones:
                    mend = near(word, zones, f"write one of {', '.join(zones)}; for less than a zone write a rule")
                    yield Complaint(("policies", number, key, place), f"there is no zone `{word}`", mend)


def _uplink(settings: Settings, path: KeyPath, rule: Rule) -> Iterator[Complaint]:
    """`via` and `only`: an uplink of every network the rule names, for connections that go out."""
    if rule.uplink is None:
        return
    key = "via" if rule.only is None else "only"
    at = (*path, key)
    if rule.via is not None and rule.only is not None:
        message = "`via` and `only` in one rule"
        yield Complaint((*path, "via"), message, "keep `only` (never another uplink) or `via` (another one at need)")
    if rule.uplink not in settings.uplinks:
        yield Complaint(at, f"there is no uplink `{rule.uplink}`", near(rule.uplink, settings.uplinks, "see `uplinks`"))
        return
    if rule.action != "accept" or (set(rule.to) <= {FIREWALL, *settings.networks, *settings.hosts}):
        mend = f"delete `{key}`, or write `to: internet` and `action: accept`"
        yield Complaint(at, f"`{key}` in a rule that lets nothing out", mend)
    for word in rule.from_:
        network = settings.hosts[word].network or "" if word in settings.hosts else word
        if network in settings.networks and rule.uplink not in settings.uplinks_of(network):
            mend = f"add `{rule.uplink}` to `networks.{network}.uplinks`, or name one of its uplinks here"
            yield Complaint(at, f"`{network}` may not use the uplink `{rule.uplink}`", mend)


def _host(settings: Settings, path: KeyPath, rule: Rule, name: str) -> Iterator[Complaint]:
    host = settings.hosts[name]
    addresses = {4: host.ipv4, 6: host.suffix}
    if all(addresses[family] is None for family in rule.families):
        lacking = {("ipv4"): "`ipv4`", "ipv6": "`suffix`"}.get(rule.family or "", "`ipv4` or `suffix`")
        message = f"`{name}` has no address that this rule could match"
        yield Complaint(path, message, f"add {lacking} to the host")
