"""DNS inside: the zones of our own named, and the names of the configuration in them."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network

from agent.config.settings import FIREWALL, Settings
from agent.config.uplink import StaticUplink
from agent.desired.dns import DNS_PORT, KEY_FILE, NAMED_ADDRESS
from agent.desired.names import Record, ZoneTarget
from agent.model import IPAddress, IPNetwork

STATIC_TTL = 300
# RFC 1918, 3927, 6598: addresses that nobody outside reaches.
LOCAL4 = tuple(map(IPv4Network, ("10.0.0.0/8", "100.64.0.0/10", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16")))
OCTET, NIBBLE = 8, 4
# Nobody's client may call itself so: other machines look for such names by themselves and would trust it. A name that
# is there without a DHCID record is never given to a client (RFC 4703 section 5.3).
RESERVED = ("isatap", "wpad")


def reverse_zones(network: IPNetwork) -> tuple[str, ...]:
    """The reverse zones that cover a network: its own where its length ends a label, else those of the next one down.

    Longer than /24: that of the /24 (RFC 2317 is for delegation between strangers).
    """
    if isinstance(network, IPv4Network):
        length = min(-(-max(network.prefixlen, 1) // OCTET) * OCTET, 3 * OCTET)
        base = network.supernet(new_prefix=length) if network.prefixlen > length else network
        return tuple(_pointer(part, length // OCTET) for part in base.subnets(new_prefix=length))
    length = -(-network.prefixlen // NIBBLE) * NIBBLE
    return tuple(_pointer(part, length // NIBBLE) for part in network.subnets(new_prefix=length))


def _pointer(network: IPNetwork, labels: int) -> str:
    own = network.network_address.reverse_pointer.split(".")
    return ".".join(own[len(own) - 2 - labels :])


def reverse(settings: Settings) -> Iterator[str]:
    """The reverse zones of what is internal: an address that the world knows has its name from its owner.

    With docker hosts that is us, wherever the prefix is from: nobody else knows the names of containers.
    """
    for network in settings.networks.values():
        if network.ipv4 is not None and any(network.ipv4.network.subnet_of(local) for local in LOCAL4):
            yield from reverse_zones(network.ipv4.network)
    if settings.docker_hosts or not same_outside(settings):
        yield from reverse_zones(settings.site.prefix)


def same_outside(settings: Settings) -> bool:
    """Whether `site.prefix` is the same inside and outside (hoster)."""
    static = (u.ipv6.prefix for u in settings.uplinks.values() if isinstance(u, StaticUplink) and u.ipv6 is not None)
    return any(prefix is not None and prefix.overlaps(settings.site.prefix) for prefix in static)


def _addresses(settings: Settings) -> Iterator[tuple[str, IPAddress]]:
    """(label, address) of the firewall and of the hosts."""
    for name, network in settings.networks.items():
        if network.transit:
            continue
        own6 = settings.firewall_address6(name)
        yield from ((FIREWALL, found.ip) for found in (network.ipv4, own6) if found is not None)
    for name, host in settings.hosts.items():
        if (address4 := settings.host_address4(name)) is not None:
            yield name, address4
        lives = settings.networks[settings.host_network(name)]
        address6 = settings.host_address6(name)
        if address6 is not None and (host.docker_host is not None or lives.addressing != "global"):
            yield name, address6
    for name in settings.docker_hosts:
        if (address := settings.docker_address(name)) is not None:
            yield name, address


def _records(settings: Settings, reverse: tuple[str, ...]) -> Iterator[tuple[str, Record]]:
    """(zone, record) of all names of the configuration."""
    domain = settings.site.domain
    for label in RESERVED:
        if label not in settings.hosts:
            yield domain, Record(f"{label}.{domain}", "TXT", "kept free")
    for label, address in _addresses(settings):
        name, pointer = f"{label}.{domain}", address.reverse_pointer
        yield domain, Record(name, "A" if isinstance(address, IPv4Address) else "AAAA", str(address))
        if (zone := next((zone for zone in reverse if pointer.endswith(f".{zone}")), None)) is not None:
            yield zone, Record(pointer, "PTR", name)


def zones(settings: Settings, reverse: tuple[str, ...]) -> Iterator[ZoneTarget]:
    """Each local zone with its records."""
    found: dict[str, list[Record]] = {zone: [] for zone in (settings.site.domain, *reverse)}
    for zone, record in _records(settings, reverse):
        found[zone].append(record)
    for zone, records in found.items():
        yield ZoneTarget(zone, NAMED_ADDRESS, DNS_PORT, KEY_FILE, tuple(sorted(set(records))), STATIC_TTL, whole=True)
