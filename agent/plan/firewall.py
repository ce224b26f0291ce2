"""The firewall's plan: all that shall be true in its container."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv6Network
from itertools import product
from types import MappingProxyType

from agent.config.settings import FIREWALL, INTERNET, Settings
from agent.desired import Document, Plan, Problem, Publication, WantedAddress
from agent.desired.dhcp4 import KeaDhcp4Config
from agent.desired.dhcp6 import KeaDhcp6Config
from agent.desired.docker_hosts import Machines
from agent.desired.firewall import FirewallPolicy, FirewallTable, Steer
from agent.desired.log import UlogdConfig
from agent.desired.names import Names
from agent.model import Link, Memory, Neighbour, PolicyRule, Route, State
from agent.plan import (
    advertise,
    dhcp4,
    dhcp6,
    dhcp6_global,
    docker_hosts,
    exposure,
    firewall_marks,
    firewall_routes,
    flows,
    forwards,
    global6,
    leases,
    lists,
    marks,
    networks,
    rules,
)
from agent.plan.addressing import addressing, internal_uses
from agent.plan.broker import plan_broker
from agent.plan.choice import Order, choices, orders
from agent.plan.container_names import with_containers
from agent.plan.dns import plan_dns
from agent.plan.firewall_uplinks import UplinkView, views
from agent.plan.interface import Role
from agent.plan.npt import Addressing
from agent.plan.public_dns import plan_public
from agent.plan.same import Same
from agent.plan.standing import outlook, standings


@dataclass(frozen=True, slots=True)
class _Static:
    """What follows from the configuration, the links and the marks alone: no event of an uplink changes it."""

    policy: FirewallPolicy
    addresses: frozenset[WantedAddress]
    routes: frozenset[Route]
    rules: frozenset[PolicyRule]
    sysctls: tuple[tuple[str, str], ...]
    kea: KeaDhcp4Config
    kea6: tuple[KeaDhcp6Config, ...]
    broker: tuple[Document, ...]
    log: tuple[UlogdConfig, ...]
    orders: Mapping[str, Order]
    steers: tuple[tuple[str, Steer], ...]
    metered: frozenset[str]
    neighbours: frozenset[Neighbour]
    machines: tuple[Machines, ...]
    pinholes: Mapping[str, tuple[tuple[int, str], ...]]
    addressing: Mapping[str, Addressing]
    internal: tuple[IPv6Network, ...]


@lru_cache(maxsize=8)
def _static(  # noqa: PLR0917 - together they are the key of the cache
    same: Same[Settings],
    links: tuple[tuple[str, Link], ...],
    devices: tuple[tuple[str, str], ...],
    closed: tuple[str, ...],
    marked: tuple[tuple[str, int], ...],
    utc_offset: int,
) -> _Static:
    settings, found = same.value, dict(links)
    policy = rules.policy(settings, dict(devices), closed, utc_offset)
    steers = ((pair.source, rule.steer) for pair in policy.pairs for rule in pair.rules if rule.steer is not None)
    return _Static(
        policy=policy,
        addresses=networks.addresses(settings, found),
        routes=networks.main_routes(settings, found),
        rules=firewall_routes.rules(mark for name, mark in marked if name in settings.uplinks),
        sysctls=networks.sysctls(found),
        kea=dhcp4.kea_dhcp4(settings, found, dict(marked)),
        kea6=dhcp6.kea_dhcp6(settings, found),
        broker=plan_broker(settings),
        log=(UlogdConfig(),) if any(rules.logged(settings)) else (),
        orders=orders(settings),
        steers=tuple(dict.fromkeys(steers)),
        metered=frozenset(name for name, uplink in settings.uplinks.items() if uplink.metered),
        neighbours=docker_hosts.neighbours(settings, found),
        machines=docker_hosts.sources(settings),
        pinholes=_pinholes(settings),
        addressing=addressing(settings),
        internal=internal_uses(settings),
    )


def _closed(roles: Mapping[str, Role]) -> tuple[str, ...]:
    """NICs of ours that carry VLANs only: what arrives there without a tag is nobody's."""
    used = {role.ifname for role in roles.values()}
    return tuple(sorted({link.name for role in roles.values() for link in role.wanted} - used))


def _pinholes(settings: Settings) -> Mapping[str, tuple[tuple[int, str], ...]]:
    """Network → (rule, host) of inbound IPv6."""
    found: dict[str, list[tuple[int, str]]] = {}
    for number, rule in enumerate(settings.rules, 1):
        if INTERNET not in rule.from_ or 6 not in rule.families or rule.action != "accept":  # noqa: PLR2004
            continue
        for host in (word for word in rule.to if word in settings.hosts and settings.host_address6(word) is not None):
            found.setdefault(settings.host_network(host), []).append((number, host))
    return {network: tuple(pairs) for network, pairs in found.items()}


def _unserved(settings: Settings, static: _Static, uplinks: Mapping[str, UplinkView]) -> Iterator[Problem]:
    """Inbound IPv6 that an uplink cannot serve (modes 3 and 5, and 2 where a network has no /64)."""
    for network, pinholes in static.pinholes.items():
        prefix = next(iter(networks.subnets6(settings, network)), None)
        lacking = [
            name
            for name in settings.uplinks_of(network)
            if (uplink := uplinks.get(name)) and prefix and not uplink.unreachable6 and not uplink.maps(prefix)
        ]
        for (number, host), name in product(pinholes, lacking) if lacking else ():
            yield Problem(
                f"rule/{number}",
                f"{host} cannot be reached by IPv6 through {name}: that uplink has no prefix for {network}",
                f"ask the ISP of {name} for a delegated prefix, or write `family: ipv4` in rule {number}",
            )


def plan_firewall(settings: Settings, state: State, now: float) -> Plan:
    """The plan of the firewall at `now` (CLOCK_BOOTTIME). Pure; an event of an uplink changes elements of maps only."""
    roles = networks.roles(settings, state)
    links = {name: role.link for name, role in roles.items() if role.link is not None}
    devices = {name: role.ifname for name, role in roles.items()}
    dmz = links.get(settings.transit_name or "")
    marked, problems = marks.allocate(state.memory.marks, settings.uplinks_by_priority())
    static = _static(
        Same(settings),
        tuple(links.items()),
        tuple(devices.items()),
        _closed(roles),
        tuple(marked.items()),
        state.utc_offset,
    )
    uplinks, wrong = views(settings, state, now, dmz, marked)
    handed = global6.plan_global(settings, static.addressing, static.internal, state.memory.held, uplinks, now)
    uplinks = global6.seen(settings, static.addressing, handed, uplinks)
    fares = standings(state.memory, uplinks, now)
    out = outlook(fares, state.memory.wishes, static.metered, settings.site.hold_down, now)
    found, selections = choices(static.orders, uplinks, state.memory, out, now)
    behind, moments = flows.left_behind(static.orders, uplinks, selections, out, now)
    missing = tuple(role.problem for role in roles.values() if role.problem is not None)
    told = advertise.radvd(settings, links, static.orders, found, static.addressing, handed, now)
    advertised = told.config
    names = plan_dns(settings, tls=state.forwards_tls)
    public, unpublished = plan_public(settings, uplinks, state.peers, handed, out.drained)
    deadlines = [until for uplink in uplinks.values() for until in uplink.deadlines]
    deadlines += [*out.deadlines, *moments, *handed.deadlines]
    kea6, moved_at = dhcp6_global.follow(static.kea6, global6.alone(static.addressing, links), found, handed, now)
    deadlines += [moment for moment in (told.again_at, moved_at) if moment is not None]
    return Plan(
        nft=FirewallTable(
            policy=static.policy,
            choice4=firewall_marks.choice(found, 4, devices, uplinks),
            choice6=firewall_marks.choice(found, 6, devices, uplinks),
            ingress=tuple((uplink.mac, uplink.mark) for uplink in uplinks.values() if uplink.mac),
            external4=tuple((prefix, uplink.mark) for uplink in uplinks.values() for prefix in uplink.external4),
            external6=tuple((prefix, uplink.mark) for uplink in uplinks.values() for prefix in uplink.external6),
            steered4=tuple(firewall_marks.steered(static.steers, static.orders, 4, devices, uplinks, out)),
            steered6=tuple(firewall_marks.steered(static.steers, static.orders, 6, devices, uplinks, out)),
            balances=tuple(firewall_marks.balances(settings, found, uplinks)),
            lists=lists.sets(settings, state),
            machines=static.machines,
            exposed=exposure.exposed(settings, state),
            lent6=handed.elements,
        ),
        links=networks.wanted_links(roles),
        addresses=static.addresses | handed.addresses(links),
        routes=static.routes
        | handed.routes()
        | firewall_routes.routes(uplinks.values(), dmz)
        | dhcp6.delegated_routes(settings, links, state.delegated),
        rules=static.rules | firewall_routes.own(settings.transit_name, found, uplinks),
        neighbours=static.neighbours | firewall_routes.neighbours(uplinks.values(), dmz),
        sysctls=static.sysctls,
        # An empty radvd.conf is a syntax error: without a link there is none.
        files=(
            *((advertised,) if advertised.interfaces else ()),
            static.kea,
            *kea6,
            *static.broker,
            *static.log,
            *names.files,
        ),
        services=MappingProxyType(
            {
                "radvd": bool(advertised.interfaces),
                "kea-dhcp4": bool(static.kea.subnets),
                "kea-dhcp6": bool(static.kea6),
                "ulogd2": bool(static.log),
                "named": names.named,
                "kea-dhcp-ddns": names.ddns,
                "mosquitto": settings.bus.broker == FIREWALL,
            }
        ),
        flows=(*flows.failed(static.orders, uplinks, found), *behind),
        facts=(*(Publication(f"choice/{choice.network}", choice) for choice in found), *leases.facts(settings, state)),
        memory=Memory(marked, state.memory.npt, fares, selections, state.memory.wishes, handed.held),
        problems=(
            *problems,
            *names.problems,
            *unpublished,
            *missing,
            *wrong,
            *handed.problems,
            *_unserved(settings, static, uplinks),
            *forwards.problems(settings, uplinks),
            *lists.problems(settings, state),
            *leases.problems(state),
            *exposure.problems(exposure.exposures(settings, state)),
        ),
        names=Names(with_containers(settings, state, names.zones), public),
        again_at=min(deadlines, default=None),
        watch=firewall_routes.watch(uplinks.values(), dmz),
    )
