"""Rules, forwards and zones of the configuration, compiled into the firewall's policy (design.md, Words)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv6Network, ip_network

from agent.config.rule import Rule
from agent.config.settings import ANY, FIREWALL, INTERNET, Settings
from agent.config.uplink import StaticUplink, WireguardUplink
from agent.desired.firewall import AcceptedForward, FilterRule, FirewallPolicy, Match, Steer, Zone, ZonePair
from agent.model import Family, IPNetwork
from agent.plan.networks import subnets6

UNIQUE_LOCAL = IPv6Network("fc00::/7")  # RFC 4193
# Without uplinks there need be no DMZ: a link that nobody has.
NO_TRANSIT = Zone(name="_", device="-")
_Ports = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class _End:
    """One side of a rule: a zone, or with `only` True the addresses of one machine in it."""

    zone: str
    only: bool = False
    mac: str = ""
    addresses: tuple[IPNetwork, ...] = ()

    def of(self, family: Family) -> tuple[IPNetwork, ...]:
        """Its addresses of one family."""
        return tuple(address for address in self.addresses if address.version == family)


def _ends(settings: Settings, word: str) -> tuple[_End, ...]:
    if word == ANY:
        return (*(_End(name) for name in settings.networks), _End(INTERNET), _End(FIREWALL))
    if word in {INTERNET, FIREWALL} or word in settings.networks:
        return (_End(word),)
    if word in settings.docker_hosts:
        prefix = settings.docker_prefix(word)
        docker = settings.docker_hosts[word]
        return (_End(docker.network, only=True, mac=docker.mac, addresses=(prefix,) if prefix else ()),)
    found = (settings.host_address4(word), settings.host_address6(word))
    addresses = tuple(ip_network(address) for address in found if address is not None)
    mac = settings.hosts[word].mac or ""
    return (_End(settings.host_network(word), only=True, mac=mac, addresses=addresses),)


def _protocols(rule: Rule) -> Iterator[tuple[str, _Ports]]:
    """(protocol, ports) of a rule; ("", ()) is every protocol."""
    found: dict[str, list[tuple[int, int]]] = {}
    for protocol, first, last in rule.ports:
        found.setdefault(protocol, []).append((first, last))
    if not found:
        yield "", ()
    for protocol, ports in found.items():
        yield protocol, merged(ports)


def merged(ports: list[tuple[int, int]]) -> _Ports:
    """Port ranges sorted, overlapping and touching ones made one: nft takes no overlap in a set."""
    result: list[tuple[int, int]] = []
    for first, last in sorted(ports):
        if result and first <= result[-1][1] + 1:
            result[-1] = (result[-1][0], max(last, result[-1][1]))
        else:
            result.append((first, last))
    return tuple(result)


def _matches(rule: Rule, source: _End, destination: _End) -> Iterator[Match]:
    """The alternatives between two ends.

    A host as a source is known by its MAC where the configuration has it: so its temporary IPv6 addresses (RFC 8981)
    are meant too.
    """
    by_mac = source.mac if source.only else ""
    addressed = destination.only or (source.only and not by_mac)
    families: tuple[Family | None, ...] = rule.families if addressed or rule.family else (None,)
    for family in families:
        sources = source.of(family) if family and source.only and not by_mac else ()
        destinations = destination.of(family) if family and destination.only else ()
        if (source.only and not by_mac and not sources) or (destination.only and not destinations):
            continue  # the machine has no address of this family
        for protocol, ports in _protocols(rule):
            yield Match(family, sources, by_mac, destinations, protocol, ports)  # type: ignore[arg-type]


def pairs(settings: Settings) -> tuple[ZonePair, ...]:
    """The rules of each pair of zones that has any, in their order."""
    found: dict[tuple[str, str], list[FilterRule]] = {}
    for number, rule in enumerate(settings.rules, 1):
        matches: dict[tuple[str, str], dict[Match, None]] = {}
        sources = [end for word in rule.from_ for end in _ends(settings, word)]
        destinations = [end for word in rule.to for end in _ends(settings, word)]
        for source in sources:
            for destination in destinations:
                pair = (source.zone, destination.zone)
                if pair[0] == pair[1] and pair[0] in {INTERNET, FIREWALL}:
                    continue
                matches.setdefault(pair, {}).update(dict.fromkeys(_matches(rule, source, destination)))
        for pair, alternatives in matches.items():
            if alternatives:
                steer = _steer(settings, number, rule, pair)
                compiled = FilterRule(f"rule_{number}", rule.action, tuple(alternatives), rule.log, steer)
                found.setdefault(pair, []).append(compiled)
    return tuple(ZonePair(*pair, tuple(rules)) for pair, rules in sorted(found.items()))


def _steer(settings: Settings, number: int, rule: Rule, pair: tuple[str, str]) -> Steer | None:
    """Which uplink the rule asks for, where it lets a network out that may use it."""
    source, destination = pair
    if rule.uplink is None or destination != INTERNET or source not in settings.networks:
        return None
    return Steer(number, rule.uplink, rule.only is not None) if rule.uplink in settings.uplinks_of(source) else None


def forwards(settings: Settings) -> tuple[AcceptedForward, ...]:
    """What the port forwards lead to, each port once."""
    found: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for forward in settings.forwards.values():
        for mapped in forward.mapped:
            found.setdefault((forward.to, mapped.protocol), []).append((mapped.to_first, mapped.to_last))
    result = []
    for (host, protocol), ports in sorted(found.items()):
        address = settings.host_address4(host)
        if address is not None:
            result += [AcceptedForward(address, protocol, *part) for part in merged(ports)]  # type: ignore[arg-type]
    return tuple(result)


def _zone(settings: Settings, name: str, device: str) -> Zone:
    network = settings.networks[name]
    return Zone(
        name=name,
        device=device,
        subnets4=(network.ipv4.network,) if network.ipv4 else (),
        subnets6=subnets6(settings, name),
        dhcp4=network.dhcp4 is not None and network.ipv4 is not None,
        router=network.transit or settings.network_prefix(name) is not None,
    )


def policy(settings: Settings, devices: dict[str, str], closed: tuple[str, ...]) -> FirewallPolicy:
    """The policy. `devices`: network → name of its device; `closed`: trunks, which carry no packets of their own."""
    transit = settings.transit_name
    uplinks = settings.uplinks.values()
    static6 = [u.ipv6.address.ip for u in uplinks if isinstance(u, StaticUplink) and u.ipv6 is not None]
    tunnels = [a.ip for u in uplinks if isinstance(u, WireguardUplink) for a in u.addresses]
    return FirewallPolicy(
        zones=tuple(_zone(settings, name, devices[name]) for name in settings.networks if name != transit),
        transit=_zone(settings, transit, devices[transit]) if transit else NO_TRANSIT,
        pairs=pairs(settings),
        forwards=forwards(settings),
        internal6=settings.site.prefix,
        closed=closed,
        bus_port=settings.bus.port if settings.bus.broker == "firewall" else None,
        local_outside=any(a in UNIQUE_LOCAL for a in (*tunnels, *static6)),
        outside6=tuple(a for a in static6 if a in settings.site.prefix),
        balanced=tuple(name for name in settings.networks if any(entry.weight for entry in settings.preferences(name))),
    )
