"""What router advertisements say on each network: prefixes with lifetimes, routes, names, MTU, flags."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv6Network

from agent.config.settings import Settings
from agent.config.uplink import PppoeUplink
from agent.desired.advertise import AdvertisedPrefix, AdvertisedRoute, RadvdConfig, RadvdInterface
from agent.desired.firewall import FIREWALL_LINK_LOCAL
from agent.model import Choice, Deadline, FamilyChoice, Link
from agent.plan.choice import Order
from agent.plan.dns import servers6
from agent.plan.global6 import PREFERRED_LIMIT, VALID_LIMIT, Global6, Lent
from agent.plan.npt import Addressing

# Seconds. The router lifetime is three advertisement intervals (RFC 4861 section 6.2.1). The internal prefix is ours
# for good: hosts keep it over a day of a firewall that is off.
ROUTER_LIFETIME = 1800
ROUTE_LIFETIME = 1800
PREFERRED_LIFETIME = 14400
VALID_LIFETIME = 86400
MINIMUM_MTU = 1280  # RFC 8200 section 5
MAXIMUM_MTU = 65535
PPPOE_MTU = 1492
# Lifetimes of global prefixes fall by these steps: what is said must be true until the next one is reached, and radvd
# is not told every second. A step is left `_AHEAD` seconds before its time, so that it is never late.
_STEPS = (
    *(5400, 4500, 3600, 2700, 2100, 1800, 1500, 1200, 900, 720, 600, 480, 360, 300, 240, 180, 120, 90, 60, 45, 30),
    *(20, 15, 10, 7, 5, 3, 2, 1, 0),
)
_AHEAD = 2.0


@dataclass(frozen=True, slots=True)
class Advertised:
    """`again_at`: when a lifetime reaches its next step (CLOCK_BOOTTIME), None for never."""

    config: RadvdConfig
    again_at: Deadline


def lifetime(until: Deadline, limit: int, now: float) -> tuple[int, Deadline]:
    """Whole seconds to announce of what ends at `until`, at most `limit`, and when fewer must be announced.

    RFC 9096 L-15: never more than what is left.
    """
    if until is None:
        return limit, None
    left = until - now - _AHEAD
    step = next((step for step in _STEPS if step < left and step <= limit), 0)
    return step, until - _AHEAD - step if step else None


def _mtu(settings: Settings, order: Order, link: Link) -> int:
    """The smallest that is configured: a host that knows it needs no packet-too-big from afar.

    Not that of the uplink in use: it would change at a failover, and hosts take it in for all their connections.
    """
    uplinks = (settings.uplinks[name] for name in order.names)
    known = (uplink.mtu or (PPPOE_MTU if isinstance(uplink, PppoeUplink) else MAXIMUM_MTU) for uplink in uplinks)
    return max(MINIMUM_MTU, min(link.mtu, *known, MAXIMUM_MTU))


def _used(choice: FamilyChoice | None) -> frozenset[str]:
    """The uplinks that a network uses now."""
    if choice is None or choice.uplink is None:
        return frozenset()
    return frozenset({choice.uplink, *(name for name, _ in choice.shares)})


def _global(
    network: str, found: Global6, used: frozenset[str], now: float
) -> Iterator[tuple[AdvertisedPrefix, Lent | None, Deadline]]:
    """Global prefixes: preferred by the uplink in use (RFC 8028), else deprecated; withdrawn ones 0 and 0.

    RFC 9096 section 3.5: both lifetimes 0. A host that holds the prefix keeps it for what was promised (RFC 4862
    section 5.5.3), a new one takes no address of it.
    """
    for one in found.of(network):
        preferred, first = lifetime(one.preferred_until, PREFERRED_LIMIT, now) if one.uplink in used else (0, None)
        valid, second = lifetime(one.valid_until, VALID_LIMIT, now)
        moments = [moment for moment in (first, second) if moment is not None]
        yield AdvertisedPrefix(one.prefix, min(preferred, valid), valid), one, min(moments, default=None)
    for prefix in found.stale_of(network):
        yield AdvertisedPrefix(prefix, 0, 0), None, None


def _dmz(settings: Settings, prefix: IPv6Network | None, link: Link, found: Global6) -> RadvdInterface:
    """No default router: the way to `site.prefix` and to each global /64 (RFC 4191)."""
    prefixes = (AdvertisedPrefix(prefix, PREFERRED_LIFETIME, VALID_LIFETIME),) if prefix is not None else ()
    lent = (AdvertisedRoute(one.prefix, ROUTE_LIFETIME) for one in found.lent)
    stale = (AdvertisedRoute(one.prefix, 0) for one in found.stale)
    routes = (AdvertisedRoute(settings.site.prefix, ROUTE_LIFETIME), *lent, *stale)
    return RadvdInterface(link.name, 0, prefixes, routes, source=FIREWALL_LINK_LOCAL.ip)


def radvd(  # noqa: PLR0917 - what advertisements depend on
    settings: Settings,
    links: Mapping[str, Link],
    orders: Mapping[str, Order],
    choices: Iterable[Choice],
    kinds: Mapping[str, Addressing],
    found: Global6,
    now: float,
) -> Advertised:
    """Advertisements of each network that has a link and a /64, and of the DMZ.

    A network without a usable IPv6 uplink gets router lifetime 0 (RFC 7084 G-4, G-5; RFC 4861 section 6.2.5); it is
    told the way to the internal plan all the same (RFC 7084 L-3). M and O say whether DHCPv6 has addresses, or other
    things only (RFC 4861 section 4.2, RFC 7084 L-9).
    """
    chosen = {choice.network: choice.ipv6 for choice in choices}
    interfaces, moments = [], []
    for name, link in links.items():
        prefix, network = settings.network_prefix(name), settings.networks[name]
        if network.transit:
            interfaces.append(_dmz(settings, prefix, link, found))
        elif prefix is not None:
            outside = list(_global(name, found, _used(chosen.get(name)), now))
            moments += [moment for _, _, moment in outside if moment is not None]
            # Hosts that had internal addresses before `addressing: global` was written give them up.
            only = kinds.get(name) == "global" and network.addressing == "global"
            times = (0, 0) if only else (PREFERRED_LIFETIME, VALID_LIFETIME)
            advertised = RadvdInterface(
                link.name,
                ROUTER_LIFETIME if _used(chosen.get(name)) else 0,
                (AdvertisedPrefix(prefix, *times), *(item for item, _, _ in outside)),
                (AdvertisedRoute(settings.site.prefix, ROUTE_LIFETIME), *_delegated(found, outside)),
                dns=servers6(settings, name),
                search=(settings.site.domain,),
                mtu=_mtu(settings, orders[name], link),
                managed=network.dhcp6.mode == "stateful",
                other=network.dhcp6.mode != "none",
                autonomous=network.dhcp6.slaac,
            )
            interfaces.append(advertised)
    return Advertised(RadvdConfig(tuple(interfaces)), min(moments, default=None))


def _delegated(
    found: Global6, outside: Iterable[tuple[AdvertisedPrefix, Lent | None, Deadline]]
) -> Iterator[AdvertisedRoute]:
    """RFC 7084 L-3: the way to the delegated prefixes that the network has a part of, for as long as that part."""
    for prefix, lent, _ in outside:
        if lent is not None:
            within = (d for d in found.delegations.get(lent.uplink, ()) if prefix.prefix.subnet_of(d))
            yield from (AdvertisedRoute(d, min(prefix.valid, ROUTE_LIFETIME)) for d in within)
