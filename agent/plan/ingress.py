"""The plan of an ingress: one uplink, translated and filtered, followed by netlink alone."""

from __future__ import annotations

from ipaddress import IPv6Interface, ip_address, ip_network

from agent.config import PppoeUplink, Settings, StaticUplink, WireguardUplink
from agent.desired import FlowEnd, Plan, WantedAddress, WantedLink
from agent.desired.ingress import IngressTable
from agent.model import Family, IPInterface, Memory, Neighbour, Route, State
from agent.plan.ingress_facts import facts
from agent.plan.ingress_fixed import Fixed, fixed
from agent.plan.ingress_problem import problems
from agent.plan.ingress_seen import Seen, look
from agent.plan.ingress_static import METRIC, static_addresses, static_routes, within
from agent.plan.ingress_sysctl import sysctls
from agent.plan.neighbours import proxied
from agent.plan.probe import probes, standings, verdicts

_memo: list[tuple[Settings, str, Fixed]] = []


def plan_ingress(settings: Settings, node: str, state: State, now: float) -> Plan:
    """All that shall be true in the container of the uplink `node`, at `now` (CLOCK_BOOTTIME).

    LookupError where the configuration has no such uplink, or no transit network.
    """
    share = _share(settings, node)
    seen = look(share, state, now)
    probing = probes(seen, (forwarder.address for forwarder in settings.dns.forwarders))
    health = verdicts(seen, probing, now)
    table = _table(seen, health.alive, flowtable=state.flowtable)
    uplink = share.uplink
    wan, dmz = seen.wan.link, seen.dmz.link
    return Plan(
        nft=table,
        links=_links(seen),
        addresses=_addresses(seen),
        routes=_routes(seen),
        neighbours=_neighbours(seen),
        sysctls=sysctls(
            wan.name if wan is not None else None,
            dmz.name if dmz is not None else None,
            static=isinstance(uplink, StaticUplink | WireguardUplink),
            proxy=isinstance(uplink, StaticUplink) and uplink.ipv6 is not None and uplink.ipv6.neighbours == "proxy",
        ),
        files=share.files(settings, seen.wan, seen.dmz, seen.underlay),
        services={
            "dhcpcd": True,
            "pppd": isinstance(uplink, PppoeUplink),
            "wireguard": isinstance(uplink, WireguardUplink),
        },
        flows=_flows(table),
        facts=facts(seen, health.fact),
        memory=_memory(settings, seen),
        problems=problems(seen),
        again_at=seen.ladder.again_at,
        probes=probing,
        proxied=proxied(settings, node, wan),
    )


def _share(settings: Settings, node: str) -> Fixed:
    """The configuration's part, kept while the configuration is the same: events come often, it seldom changes."""
    for known, name, share in _memo:
        if known is settings and name == node:
            return share
    share = fixed(settings, node)
    _memo[:] = [(settings, node, share)]
    return share


def _table(seen: Seen, alive: frozenset[Family], *, flowtable: bool) -> IngressTable:
    ladder = seen.ladder
    own4 = tuple(address.ip for address, _ in seen.own4)
    return IngressTable(
        static=seen.share.with_links(seen.wan, seen.dmz, ladder.routed, flowtable=flowtable),
        own4=own4,
        own6=ladder.own,
        nat44=own4[0] if own4 else None,
        nat66=ladder.nat66,
        source6=ladder.source,
        reserved6=ladder.reserved,
        mappings=ladder.mappings,
        alive=alive,
        lent=ladder.lent,
        closed=ladder.closed,
    )


def _links(seen: Seen) -> tuple[WantedLink, ...]:
    """Each link once: with VLANs, uplink and DMZ may share a NIC."""
    roles = (role for role in (seen.underlay, seen.wan, seen.dmz) if role is not None)
    return tuple(dict.fromkeys(link for role in roles for link in role.wanted))


def _addresses(seen: Seen) -> frozenset[WantedAddress]:
    if seen.wan.link is None:
        return frozenset()
    index, uplink = seen.wan.link.index, seen.share.uplink
    written: tuple[IPInterface, ...] = ()
    if isinstance(uplink, StaticUplink):
        written = static_addresses(uplink)
    elif isinstance(uplink, WireguardUplink):
        written = uplink.addresses
    inside = seen.share.wish.site
    found = {WantedAddress(index, address, alone=within(address, inside)) for address in written}
    if seen.ladder.added is not None:
        # Nobody else on the link can have it, the delegation is ours alone: no need to wait for DAD (RFC 4862).
        found.add(WantedAddress(index, IPv6Interface((seen.ladder.added, 128)), nodad=True))
    return frozenset(found)


def _routes(seen: Seen) -> frozenset[Route]:
    share, wan = seen.share, seen.wan.link
    routes = set(share.unreachable)
    if wan is not None:
        routes |= static_routes(share.uplink, wan.index, share.wish.site)
    return frozenset(routes | _outer_route(seen) | _lent_routes(seen))


def _lent_routes(seen: Seen) -> set[Route]:
    """The way to a whole delegation that hosts have: the kernel's (RFC 4191) is no better than dhcpcd's dead end."""
    dmz, delegation = seen.dmz.link, seen.ladder.delegation
    if dmz is None or delegation is None:
        return set()
    gateway = next((way for way in seen.share.firewall if way.version == 6), None)  # noqa: PLR2004
    whole = (prefix for prefix in seen.ladder.lent if prefix == delegation.prefix)
    return {Route(prefix, dmz.index, gateway, metric=METRIC[6] // 2) for prefix in whole}


def _outer_route(seen: Seen) -> set[Route]:
    """A tunnel's outer packets go by a host route to the firewall, which sends them out like any client's."""
    share, dmz = seen.share, seen.dmz.link
    if not isinstance(share.uplink, WireguardUplink) or dmz is None:
        return set()
    try:
        peer = ip_address(share.uplink.peer.endpoint.host)
    except ValueError:  # a name: its address is not known here
        return set()
    gateway = next((way for way in share.firewall if way.version == peer.version), None)
    return set() if gateway is None else {Route(ip_network(peer), dmz.index, gateway, metric=METRIC[peer.version])}


def _neighbours(seen: Seen) -> frozenset[Neighbour]:
    """The firewall, for good: no other ingress can speak for it."""
    dmz, share = seen.dmz.link, seen.share
    if dmz is None or not share.firewall_mac:
        return frozenset()
    return frozenset(Neighbour(dmz.index, way, share.firewall_mac) for way in share.firewall)


def _flows(table: IngressTable) -> tuple[FlowEnd, ...]:
    """Translated flows that must end, where there is something they can begin anew with."""
    ends = []
    if table.nat44 is not None:
        ends.append(FlowEnd(4, translated_source_not_in=frozenset(table.own4)))
    if table.own6 and (table.nat66 is not None or table.mappings):
        ends.append(FlowEnd(6, translated_source_not_in=frozenset(table.own6)))
    if table.mappings:
        ends.append(FlowEnd(6, sources=tuple(mapping.internal for mapping in table.mappings)))
    return tuple(ends)


def _memory(settings: Settings, seen: Seen) -> Memory:
    """A network's external id is kept while the network exists, also while another prefix is in force."""
    before, fares = seen.state.memory, standings(seen, seen.share.node)
    npt = {name: number for name, number in {**before.npt, **seen.ladder.ids}.items() if name in settings.networks}
    if npt == before.npt and fares == before.standings:
        return before
    return Memory(before.marks, npt, fares)
