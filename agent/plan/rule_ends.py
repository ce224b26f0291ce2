"""The two sides of a rule: words of the configuration as zones and addresses (design.md, Words)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_network

from agent.config.address_list import literal
from agent.config.settings import ANY, FIREWALL, INTERNET, Settings
from agent.model import Family, IPNetwork
from agent.plan.addressing import addressing
from agent.plan.networks import subnets6
from agent.plan.same import Same


@dataclass(frozen=True, slots=True)
class End:
    """One side of a rule: a zone, or with `only` True those of its addresses that are named.

    They are named by a MAC, by `addresses`, or by the name of a list, whose `families` then says what it can hold.
    `suffixes`: the addresses are the low 64 bits of those in the zone's global prefixes.
    """

    zone: str
    only: bool = False
    mac: str = ""
    addresses: tuple[IPNetwork, ...] = ()
    list_name: str = ""
    families: tuple[Family, ...] = (4, 6)
    suffixes: bool = False

    def of(self, family: Family) -> tuple[IPNetwork, ...]:
        """Its addresses of one family."""
        return tuple(address for address in self.addresses if address.version == family)

    def has(self, family: Family) -> bool:
        """Whether it can be an address of that family."""
        return bool(self.of(family)) or (bool(self.list_name) and family in self.families)


@dataclass(slots=True)
class _Zone:
    """What the words name in one zone; addresses of many words become one set."""

    whole: bool = False
    macs: dict[str, None] = field(default_factory=dict)
    addresses: dict[IPNetwork, None] = field(default_factory=dict)
    lists: dict[str, tuple[Family, ...]] = field(default_factory=dict)
    suffixes: dict[IPNetwork, None] = field(default_factory=dict)

    def ends(self, name: str) -> Iterator[End]:
        if self.whole:
            yield End(name)
            return  # it covers all the others
        yield from (End(name, only=True, mac=mac) for mac in self.macs)
        if self.addresses:
            yield End(name, only=True, addresses=joined(self.addresses))
        if self.suffixes:
            yield End(name, only=True, addresses=tuple(self.suffixes), suffixes=True)
        yield from (End(name, only=True, list_name=key, families=found) for key, found in self.lists.items())


def joined(networks: Iterable[IPNetwork]) -> tuple[IPNetwork, ...]:
    """Networks sorted, overlapping and touching ones made one: nft takes no overlap in a set."""
    given = tuple(networks)
    if len(given) == 1:
        return given
    found4 = collapse_addresses(network for network in given if isinstance(network, IPv4Network))
    found6 = collapse_addresses(network for network in given if isinstance(network, IPv6Network))
    return (*found4, *found6)


def zones(settings: Settings, words: Iterable[str]) -> tuple[str, ...]:
    """The zones that words for zones name, each once."""
    everything = (*settings.networks, INTERNET, FIREWALL)
    return tuple(dict.fromkeys(zone for word in words for zone in (everything if word == ANY else (word,))))


def ends(settings: Settings, words: tuple[str, ...], *, source: bool) -> tuple[End, ...]:
    """One side of a rule. A host as a source is known by its MAC where the configuration has it: so its temporary
    IPv6 addresses (RFC 8981) are meant too.
    """  # noqa: D205 - one sentence
    found: dict[str, _Zone] = {}

    def zone(name: str) -> _Zone:
        return found.setdefault(name, _Zone())

    for word in words:
        if word in {ANY, INTERNET, FIREWALL} or word in settings.networks:
            for name in zones(settings, (word,)):
                zone(name).whole = True
        elif word in settings.lists:
            for name, families in _zones_of_list(settings, word).items():
                zone(name).lists[word] = families
        elif (prefix := literal(word)) is not None:
            for name in zones_of(settings, prefix):
                zone(name).addresses[prefix] = None
        else:
            name, mac, addresses = _machine(settings, word)
            if source and mac:
                zone(name).macs[mac] = None
            else:
                zone(name).addresses.update(dict.fromkeys(addresses))
                zone(name).suffixes.update(dict.fromkeys(_suffix(settings, word)))
    return tuple(end for name, part in found.items() for end in part.ends(name))


def _machine(settings: Settings, word: str) -> tuple[str, str, tuple[IPNetwork, ...]]:
    """Network, MAC and addresses of a host or a docker host."""
    if word in settings.docker_hosts:
        prefix, docker = settings.docker_prefix(word), settings.docker_hosts[word]
        return docker.network, docker.mac, (prefix,) if prefix else ()
    four, six = settings.host_address4(word), settings.host_address6(word)
    addresses: list[IPNetwork] = [IPv4Network(int(four))] if four is not None else []
    addresses += [IPv6Network(int(six))] if six is not None else []
    return settings.host_network(word), settings.hosts[word].mac or "", tuple(addresses)


def _suffix(settings: Settings, word: str) -> tuple[IPNetwork, ...]:
    """The low 64 bits of a host's addresses, where it may have global ones."""
    host = settings.hosts.get(word)
    if host is None or host.suffix is None or host.docker_host or host.network not in addressing(settings):
        return ()
    return (ip_network(host.suffix),)


def zones_of(settings: Settings, prefix: IPNetwork) -> tuple[str, ...]:
    """Where addresses of a prefix can be: networks that it overlaps, and the internet if it is not all ours."""
    inside = []
    for name, network in settings.networks.items():
        own: tuple[IPNetwork, ...] = subnets6(settings, name)
        if prefix.version == 4:  # noqa: PLR2004
            own = (network.ipv4.network,) if network.ipv4 is not None else ()
        if any(prefix.overlaps(subnet) for subnet in own):
            inside.append(name)
            if any(prefix.subnet_of(subnet) for subnet in own):  # type: ignore[arg-type]
                return (name,)
    ours = isinstance(prefix, IPv6Network) and prefix.subnet_of(settings.site.prefix)
    return tuple(inside) if ours and not _same_outside(settings) else (*inside, INTERNET)


def _same_outside(settings: Settings) -> bool:
    """A hoster's /64 is the same inside and outside: the provider's own machines may be in it."""
    return settings.site.prefix.prefixlen == 64  # noqa: PLR2004


def _zones_of_list(settings: Settings, name: str) -> dict[str, tuple[Family, ...]]:
    """Where addresses of a list can be, and of which family; anywhere for one that is read when we run."""
    written = settings.lists[name].addresses
    if not written:
        return dict.fromkeys((*settings.networks, INTERNET), (4, 6))
    found: dict[str, set[Family]] = {}
    for prefix in written:
        for zone in zones_of(settings, prefix):
            found.setdefault(zone, set()).add(prefix.version)
    return {zone: tuple(sorted(families)) for zone, families in found.items()}


def listed(settings: Settings) -> tuple[str, ...]:
    """The lists that rules name, in the order of the configuration."""
    return _listed(Same(settings))


@lru_cache(maxsize=4)
def _listed(same: Same[Settings]) -> tuple[str, ...]:
    used = {word for rule in same.value.rules for word in (*rule.from_, *rule.to)}
    return tuple(name for name in same.value.lists if name in used)
