"""Rules, forwards and zones of the configuration, compiled into the firewall's policy (design.md, Words)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from functools import lru_cache
from ipaddress import IPv6Network

from agent.config.rule import Rule
from agent.config.settings import INTERNET, Settings
from agent.config.uplink import StaticUplink, WireguardUplink
from agent.desired.firewall import FilterRule, FirewallPolicy, Limit, Match, Steer, Zone, ZonePair
from agent.plan.addressing import addressing
from agent.plan.broker import bus_room
from agent.plan.docker_hosts import lengths
from agent.plan.forwards import accepted
from agent.plan.rule_counts import counted
from agent.plan.rule_ends import listed, zones
from agent.plan.rule_matches import matches
from agent.plan.same import Same
from agent.plan.window import window

UNIQUE_LOCAL = IPv6Network("fc00::/7")  # RFC 4193
# Without uplinks there need be no DMZ: a link that nobody has.
NO_TRANSIT = Zone(name="_", device="-")


def pairs(settings: Settings, utc_offset: int = 0) -> tuple[ZonePair, ...]:
    """The rules of each pair of zones that has any, in their order, and its policy."""
    return _pairs(Same(settings), utc_offset)


@lru_cache(maxsize=4)
def _pairs(same: Same[Settings], utc_offset: int) -> tuple[ZonePair, ...]:
    settings = same.value
    found: dict[tuple[str, str], list[FilterRule]] = {}
    for number, rule in enumerate(settings.rules, 1):
        for pair, alternatives in matches(settings, rule).items():
            compiled = FilterRule(
                f"rule_{number}",
                rule.action,
                alternatives,
                bool(rule.log),
                _steer(settings, number, rule, pair),
                note=rule.log if isinstance(rule.log, str) else "",
                limit=Limit(**asdict(rule.limit)) if rule.limit is not None else None,
                window=window(rule.when.seconds, utc_offset) if rule.when is not None else None,
            )
            found.setdefault(pair, []).append(compiled)
    decided = _policies(settings)
    both = sorted({*found, *decided})
    return tuple(ZonePair(*pair, tuple(found.get(pair, ())), decided.get(pair)) for pair in both)


def logged(settings: Settings) -> Iterator[bool]:
    """Whether each rule and policy logs."""
    yield from (bool(rule.log) for rule in settings.rules)
    yield from (bool(policy.log) for policy in settings.policies)


def _policies(settings: Settings) -> dict[tuple[str, str], FilterRule]:
    """The policy of each pair of zones that has one: the first that names it."""
    found: dict[tuple[str, str], FilterRule] = {}
    for number, policy in enumerate(settings.policies, 1):
        note = policy.log if isinstance(policy.log, str) else ""
        rest = FilterRule(f"policy_{number}", policy.action, (Match(),), bool(policy.log), note=note)
        for source in zones(settings, policy.from_):
            for destination in zones(settings, policy.to):
                if source != destination or source in settings.networks:
                    found.setdefault((source, destination), rest)
    return found


def _steer(settings: Settings, number: int, rule: Rule, pair: tuple[str, str]) -> Steer | None:
    """Which uplink the rule asks for, where it lets a network out that may use it."""
    source, destination = pair
    if rule.uplink is None or destination != INTERNET or source not in settings.networks:
        return None
    return Steer(number, rule.uplink, rule.only is not None) if rule.uplink in settings.uplinks_of(source) else None


def _zone(settings: Settings, name: str, device: str) -> Zone:
    network = settings.networks[name]
    prefixes = (settings.network_prefix(name), settings.delegation_pool(name))
    return Zone(
        name=name,
        device=device,
        subnets4=(network.ipv4.network,) if network.ipv4 else (),
        subnets6=tuple(prefix for prefix in prefixes if prefix is not None),
        machines=lengths(settings, name),
        dhcp4=network.dhcp4 is not None and network.ipv4 is not None,
        dhcp6=network.serves_dhcp6,
        lent=name in addressing(settings),
        router=network.transit or settings.network_prefix(name) is not None,
    )


def policy(settings: Settings, devices: dict[str, str], closed: tuple[str, ...], utc_offset: int = 0) -> FirewallPolicy:
    """The policy. `devices`: network → name of its device; `closed`: trunks, which carry no packets of their own."""
    transit = settings.transit_name
    uplinks = settings.uplinks.values()
    static6 = [u.ipv6.address.ip for u in uplinks if isinstance(u, StaticUplink) and u.ipv6 is not None]
    tunnels = [a.ip for u in uplinks if isinstance(u, WireguardUplink) for a in u.addresses]
    return FirewallPolicy(
        zones=tuple(_zone(settings, name, devices[name]) for name in settings.networks if name != transit),
        transit=_zone(settings, transit, devices[transit]) if transit else NO_TRANSIT,
        pairs=pairs(settings, utc_offset),
        forwards=accepted(settings),
        internal6=settings.site.prefix,
        closed=closed,
        bus_port=settings.bus.port if settings.bus.broker == "firewall" else None,
        bus_room=bus_room(settings),
        local_outside=any(a in UNIQUE_LOCAL for a in (*tunnels, *static6)),
        outside6=tuple(a for a in static6 if a in settings.site.prefix),
        lists=listed(settings),
        counted=counted(settings),
        balanced=tuple(name for name in settings.networks if any(entry.weight for entry in settings.preferences(name))),
    )
