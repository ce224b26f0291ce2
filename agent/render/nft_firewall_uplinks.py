"""The firewall's choice of uplink in nft: by a rule, by weights, or by the network's own element."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from types import MappingProxyType

from agent.desired.firewall import INTERNET, PINNED, Balance, FilterRule, FirewallPolicy, FirewallTable, Zone
from agent.render.nft_firewall_rules import chain, criteria
from agent.render.nft_firewall_split import divided
from agent.render.nft_text import braced, quoted

# A rule's number as a key, above the bits that mean something.
_RULE_SHIFT = 16
_CHOICE = (
    "meta nfproto ipv4 meta mark set iifname map @choice4",
    "meta nfproto ipv6 meta mark set iifname map @choice6",
)
# Any constant: a source keeps its uplink over a reload and a restart.
_SEED = "0x5eed"


def _steering(policy: FirewallPolicy, zone: Zone) -> list[FilterRule]:
    """The rules to the internet up to the last that asks for an uplink: first match wins here as in the filter."""
    found = next((p.rules for p in policy.pairs if (p.source, p.destination) == (zone.name, INTERNET)), ())
    last = max((number for number, rule in enumerate(found, 1) if rule.steer is not None), default=0)
    return list(found[:last])


def _special(policy: FirewallPolicy) -> list[tuple[Zone, list[FilterRule]]]:
    """Zones whose choice is more than one element, and their rules that matter."""
    zones = ((zone, _steering(policy, zone)) for zone in (*policy.zones, policy.transit))
    return [(zone, rules) for zone, rules in zones if rules or zone.name in policy.balanced]


def dispatch(policy: FirewallPolicy) -> list[str]:
    """The look-up that leads to those zones' chains, and the choice of all others."""
    special = [f"{quoted(zone.device)} : goto uplink_{zone.name}" for zone, _ in _special(policy)]
    return [*([f"iifname vmap {braced(special)}"] if special else []), *_CHOICE]


def choosers(policy: FirewallPolicy) -> Iterable[list[str]]:
    """The chains of the zones with rules by uplink, or weights. `share_<zone>` is filled by events."""
    for zone, rules in _special(policy):
        shared = [f"jump share_{zone.name}"] if zone.name in policy.balanced else []
        if shared:
            yield chain(f"share_{zone.name}", [])
        yield chain(f"choose_{zone.name}", ["meta mark set 0x0", *shared, *_CHOICE])
        # A rule with a rate decides about its own uplink alone: what is over the rate goes on to the next rule.
        deciding = tuple(rule for rule in rules if rule.limit is None or rule.steer is not None)
        for rule in deciding:
            if rule.steer is not None:
                # Nothing else may give it a mark either (nft_firewall_global.py).
                none = f"meta mark set {PINNED if zone.lent else 0:#x} accept"
                yield chain(
                    _target(zone, rule),
                    [
                        f"meta mark set {rule.steer.number << _RULE_SHIFT:#x}",
                        "meta nfproto ipv4 meta mark set iifname . meta mark map @steer4 accept",
                        "meta nfproto ipv6 meta mark set iifname . meta mark map @steer6 accept",
                        none if rule.steer.only else f"goto choose_{zone.name}",
                    ],
                )
        rest = (f"goto choose_{zone.name}",)
        lines, chains = divided(f"uplink_{zone.name}", deciding, partial(_steered, zone), rest)
        yield from (chain(*each) for each in chains)
        yield chain(f"uplink_{zone.name}", lines)


def _target(zone: Zone, rule: FilterRule) -> str:
    return f"choose_{zone.name}" if rule.steer is None else f"{rule.counter}_{zone.name}"


def _steered(zone: Zone, rules: tuple[FilterRule, ...]) -> list[str]:
    return [f"{criteria(match, rule)}goto {_target(zone, rule)}" for rule in rules for match in rule.matches]


def _share(balance: Balance) -> str:
    total = sum(weight for _, weight in balance.shares)
    address = "ip saddr" if balance.family == 4 else "ip6 saddr"  # noqa: PLR2004
    pick = f"jhash {address} mod {total} seed {_SEED}" if balance.sticky else f"numgen random mod {total}"
    ranges, start = [], 0
    for mark, weight in balance.shares:
        last = start + weight - 1
        ranges.append(f"{start if weight == 1 else f'{start}-{last}'} : {mark:#x}")
        start += weight
    return f"meta nfproto ipv{balance.family} meta mark set {pick} map {braced(ranges)} accept"


def balance_chains(table: FirewallTable) -> Mapping[str, tuple[str, ...]]:
    """What uplinks share now, as the rules of each zone's chain."""
    found: dict[str, tuple[str, ...]] = {f"share_{name}": () for name in table.policy.balanced}
    for balance in table.balances:
        name = f"share_{balance.zone}"
        found[name] = (*found[name], _share(balance))
    return MappingProxyType(found)


def elements(table: FirewallTable) -> dict[str, dict[str, str]]:
    """The elements that events change."""
    steered = {"steer4": table.steered4, "steer6": table.steered6}
    return {
        "choice4": {quoted(device): f"{mark:#x}" for device, mark in table.choice4},
        "choice6": {quoted(device): f"{mark:#x}" for device, mark in table.choice6},
        **{
            name: {
                f"{quoted(device)} . {steer.number << _RULE_SHIFT:#x}": f"{mark:#x}" for device, steer, mark in found
            }
            for name, found in steered.items()
        },
    }
