"""DNS inside: whom named answers, the zones it has, the names in them, and whom clients are told to ask."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from types import MappingProxyType

from agent.config.settings import FIREWALL, Settings
from agent.desired import Document, Problem
from agent.desired.dns import (
    DNS_PORT,
    GENERATED,
    NAMED_ADDRESS,
    Blocked,
    BlockZone,
    KeaD2Config,
    NamedConfig,
    Upstream,
)
from agent.desired.firewall import FilterRule, Match, ZonePair
from agent.desired.names import ZoneTarget
from agent.model import Family, IPAddress, IPNetwork
from agent.plan.dns_zones import reverse, same_outside, zones
from agent.plan.networks import subnets6
from agent.plan.rules import pairs
from agent.plan.same import Same
from agent.plan.standing import FAMILIES

# RFC 1918, 3927, 4193, 4291, 1122: what no name outside has an honest reason to point to.
PRIVATE: tuple[IPNetwork, ...] = (
    IPv4Network("0.0.0.0/8"),
    IPv4Network("10.0.0.0/8"),
    IPv4Network("127.0.0.0/8"),
    IPv4Network("169.254.0.0/16"),
    IPv4Network("172.16.0.0/12"),
    IPv4Network("192.168.0.0/16"),
    IPv6Network("::/127"),
    IPv6Network("::ffff:0:0/96"),
    IPv6Network("fc00::/7"),
    IPv6Network("fe80::/10"),
)
UNIQUE_LOCAL = IPv6Network("fc00::/7")
TLS_PROBLEM = "this BIND cannot ask forwarders over TLS, so no name outside resolves"
TLS_HINT = "run the image router-firewall (BIND 9.20), or delete `tls_name`: questions are then sent in the clear"


@dataclass(frozen=True, slots=True)
class Asking:
    """What rules say of a network's questions to the firewall: `whole` from all of it, `some` from a part at least."""

    whole: frozenset[Family] = frozenset()
    some: frozenset[Family] = frozenset()


@dataclass(frozen=True, slots=True)
class DnsPlan:
    """All of it that follows from the configuration alone."""

    files: tuple[Document, ...] = ()
    zones: tuple[ZoneTarget, ...] = ()
    problems: tuple[Problem, ...] = ()
    named: bool = False
    ddns: bool = False


# --- who may ask ----------------------------------------------------------------------------------------------------


def _covers(match: Match, family: Family) -> bool:
    ports = not match.ports or any(first <= DNS_PORT <= last for first, last in match.ports)
    return match.family in {None, family} and match.protocol in {"", "udp"} and ports and not match.types


def _narrow(rule: FilterRule, match: Match) -> bool:
    """Whether a rule is for a part of the network, or of the day."""
    criteria = (match.sources, match.source_mac, match.source_list, match.destinations, match.destination_list)
    return any(criteria) or rule.window is not None


def _asking(pair: ZonePair, family: Family) -> tuple[bool, bool]:
    """(whole, some), as the first matching rules have it."""
    some = False
    for rule in pair.rules:
        for match in rule.matches:
            if _covers(match, family):
                some = some or rule.action == "accept"
                if not _narrow(rule, match):
                    return rule.action == "accept", some
    accepted = pair.policy is not None and pair.policy.action == "accept"
    return accepted, some or accepted


@lru_cache(maxsize=8)
def _asked(same: Same[Settings]) -> Mapping[str, Asking]:
    settings = same.value
    found = {}
    for pair in pairs(settings):
        if pair.destination == FIREWALL and pair.source in settings.networks:
            verdicts = {family: _asking(pair, family) for family in FAMILIES}
            whole = frozenset(family for family, (all_of_it, _) in verdicts.items() if all_of_it)
            some = frozenset(family for family, (_, part) in verdicts.items() if part)
            if some:
                found[pair.source] = Asking(whole, some)
    return MappingProxyType(found)


def asked(settings: Settings) -> Mapping[str, Asking]:
    """The networks whose rules let them ask the firewall: UDP port 53 to `firewall`."""
    return _asked(Same(settings))


def servers4(settings: Settings, network: str) -> tuple[IPv4Address, ...]:
    """Whom hosts of a network shall ask over IPv4: the firewall where it answers all of them, else the forwarders."""
    own = settings.networks[network].ipv4
    if own is not None and 4 in asked(settings).get(network, Asking()).whole:  # noqa: PLR2004
        return (own.ip,)
    return tuple(a for a in _plain(settings) if isinstance(a, IPv4Address))


def servers6(settings: Settings, network: str) -> tuple[IPv6Address, ...]:
    """The same over IPv6."""
    own = settings.firewall_address6(network)
    if own is not None and 6 in asked(settings).get(network, Asking()).whole:  # noqa: PLR2004
        return (own.ip,)
    return tuple(a for a in _plain(settings) if isinstance(a, IPv6Address))


def ddns_domain(settings: Settings) -> str:
    """The domain in which DHCP clients get names, empty where they get none."""
    leasing = (n.dhcp4 is not None or n.dhcp6.mode == "stateful" for n in settings.networks.values() if not n.transit)
    return settings.site.domain if settings.dns.ddns and asked(settings) and any(leasing) else ""


def _plain(settings: Settings) -> tuple[IPAddress, ...]:
    """Forwarders that a host can ask: a host is told an address, never a port."""
    return tuple(f.address for f in settings.dns.forwarders if f.tls_name is not None or f.at == DNS_PORT)


# --- blocks ---------------------------------------------------------------------------------------------------------


def block_file(name: str) -> str:
    """The generated zone of a block, below the directory of generated files."""
    return f"named-block-{name}.zone"


def _blocked(settings: Settings) -> Iterator[Blocked]:
    """The networks that may ask, together by what they do not get."""
    found: dict[tuple[str, ...], list[IPNetwork]] = {}
    for network in asked(settings):
        names = tuple(name for name, block in settings.dns.blocks.items() if network in block.networks)
        if names:
            own4 = settings.networks[network].ipv4
            mine = found.setdefault(names, [])
            mine += [own4.network] if own4 is not None else []
            mine += subnets6(settings, network)
    for names, clients in found.items():
        zones = []
        for name in names:
            file = settings.dns.blocks[name].file
            path = str(settings.path(file)) if file is not None else f"{GENERATED}/{block_file(name)}"
            zones.append((f"{name}.block", path))
        yield Blocked(tuple(clients), tuple(zones))


def _block_zones(settings: Settings) -> Iterator[BlockZone]:
    for name, block in settings.dns.blocks.items():
        if block.names:
            yield BlockZone(name, tuple(sorted(set(block.names))))


# --- daemons ----------------------------------------------------------------------------------------------------------


def _named(settings: Settings, names: tuple[str, ...], *, tls: bool) -> NamedConfig:
    clients: list[IPNetwork] = []
    listen4, listen6 = [NAMED_ADDRESS], [IPv6Address("::1")]
    for name, asking in asked(settings).items():
        own4, own6 = settings.networks[name].ipv4, settings.firewall_address6(name)
        if own4 is not None and 4 in asking.some:  # noqa: PLR2004
            clients.append(own4.network)
            listen4.append(own4.ip)
        if 6 in asking.some:  # noqa: PLR2004
            clients += subnets6(settings, name)
            listen6 += [own6.ip] if own6 is not None else []
    blocked = tuple(_blocked(settings))
    upstreams = [Upstream(f.address, f.at, f.tls_name or "") for f in settings.dns.forwarders]
    outside = same_outside(settings) or settings.site.prefix.subnet_of(UNIQUE_LOCAL)
    return NamedConfig(
        listen4=tuple(listen4),
        listen6=tuple(listen6),
        clients=tuple(clients),
        zones=names,
        forward=bool(upstreams),
        upstreams=tuple(upstream for upstream in upstreams if tls or not upstream.tls_name),
        private=PRIVATE if outside else (*PRIVATE, settings.site.prefix),
        private_domains=(settings.site.domain, *settings.dns.private_domains),
        log=settings.dns.log,
        cache=settings.dns.cache,
        blocked=blocked,
    )


@lru_cache(maxsize=8)
def _plan(same: Same[Settings], *, tls: bool) -> DnsPlan:
    settings = same.value
    if not asked(settings):
        return DnsPlan()
    pointers = tuple(dict.fromkeys(reverse(settings)))
    named = _named(settings, (settings.site.domain, *pointers), tls=tls)
    ddns = bool(ddns_domain(settings))
    d2 = (KeaD2Config((settings.site.domain,), pointers),) if ddns else ()
    lost = named.forward and not named.upstreams
    problems = (Problem("dns", TLS_PROBLEM, TLS_HINT),) if lost else ()
    # The zones first: named's file names them.
    return DnsPlan(
        (*_block_zones(settings), named, *d2), tuple(zones(settings, pointers)), problems, named=True, ddns=ddns
    )


def plan_dns(settings: Settings, *, tls: bool = True) -> DnsPlan:
    """Our named and D2, where any network may ask. `tls`: named can ask forwarders over TLS (BIND 9.20, not 9.18)."""
    return _plan(Same(settings), tls=tls)
