"""The IPv6 mode of an uplink: the ladder of what the ISP gives, from the best rung down."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv6Address, IPv6Interface, IPv6Network
from types import MappingProxyType

from agent.model import PROTOCOL_OURS, Address, Delegation, IPv6Mode, PrefixMapping
from agent.plan.ingress_delegation import LINK_LOCAL, ULA, live, next_expiry
from agent.plan.npt import OWN_SUFFIX, Addressing, Npt, inside, mapped, plan_npt

# Seconds that NAT66 waits for a delegation that was asked for, from the moment the link has its address.
NAT66_WAIT = 10.0
_HOST = 128
_LOW = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class Wish:
    """What the configuration wants of an uplink's IPv6.

    `networks`: those that take a /64, with their internal one, first served first. `asks`: a delegation is asked for.
    `static`: addresses written in the configuration. `addressing`: of networks whose hosts have global addresses;
    `uses`: the parts of the plan that hosts may have addresses of.
    """

    site: IPv6Network
    networks: tuple[tuple[str, IPv6Network], ...] = ()
    asks: bool = False
    nat66: bool = True
    static: frozenset[IPv6Address] = frozenset()
    addressing: Mapping[str, Addressing] = field(default_factory=lambda: MappingProxyType({}))
    uses: tuple[IPv6Network, ...] = ()


@dataclass(frozen=True, slots=True)
class Ladder:
    """The rung in force.

    `delegation`: the one that is translated to or routed. `addresses`: the uplink's usable ones, best first. `added`:
    an address of the delegation for the ingress itself, to hold on the uplink. `source`: what its own errors about
    mapped hosts bear. `nat66`: the source of tracked translation, None for none. `routed`: prefixes that are the same
    inside and outside. `reserved`: internal addresses that would be translated to one of the uplink's own. `lent`:
    /64s of the delegation that hosts have, not translated; `closed`: the internal prefixes that would become those.
    """

    mode: IPv6Mode
    delegation: Delegation | None = None
    addresses: tuple[IPv6Interface, ...] = ()
    added: IPv6Address | None = None
    source: IPv6Address | None = None
    nat66: IPv6Address | None = None
    mappings: tuple[PrefixMapping, ...] = ()
    routed: tuple[IPv6Network, ...] = ()
    reserved: tuple[IPv6Address, ...] = ()
    ids: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    again_at: float | None = None
    lent: tuple[IPv6Network, ...] = ()
    closed: tuple[IPv6Network, ...] = ()

    @property
    def own(self) -> tuple[IPv6Address, ...]:
        """All addresses that are the ingress's own on the uplink."""
        added = () if self.added is None else (self.added,)
        return (*(address.ip for address in self.addresses), *added)


def climb(  # noqa: PLR0917 - what it depends on
    wish: Wish,
    delegations: Sequence[Delegation],
    addresses: Sequence[Address],
    remembered: Mapping[str, int],
    now: float,
    told: Collection[IPv6Network] = (),
) -> Ladder:
    """Choose the mode: `delegations` of this uplink, all `addresses` on its link, ids given before.

    `told`: the /64s that the firewall says hosts have. Of these, those count that are of the delegation in force and
    that no translation uses.
    """
    usable = _usable(wish, addresses, now)
    mine = tuple(address.ip for address in usable if isinstance(address.ip, IPv6Interface))
    source = mine[0].ip if mine else None
    again = next_expiry(delegations, now)
    best = next(iter(live(delegations, now)), None)
    if best is not None and wish.site.subnet_of(best.prefix):
        return Ladder("routed", best, mine, source=source, routed=(wish.site,), again_at=again)
    if best is not None:
        npt = plan_npt(wish.site, wish.networks, best.prefix, remembered, wish.addressing, told)
        lent, closed = _lent(wish, npt, best.prefix, told)
        added = npt.own if source is None else None
        source = source or npt.own
        nat66 = source if wish.nat66 and not npt.complete else None
        own = (*(address.ip for address in mine), *(() if added is None else (added,)))
        reserved = tuple(sorted({host for one in own if (host := inside(npt.mappings, one)) is not None}))
        some = bool(npt.mappings or npt.kept)
        mode: IPv6Mode = "prefix" if npt.complete else "networks" if some else "nat66" if nat66 else "none"
        return Ladder(mode, best, mine, added, source, nat66, npt.mappings, (), reserved, npt.ids, again, lent, closed)
    if source is None or not wish.nat66:
        return Ladder("none", addresses=mine, source=source, again_at=again)
    ready = min(address.created for address in usable) + (NAT66_WAIT if wish.asks else 0.0)
    if ready > now:
        return Ladder("none", addresses=mine, source=source, again_at=min(ready, again or ready))
    return Ladder("nat66", addresses=mine, source=source, nat66=source, again_at=again)


def _lent(
    wish: Wish, npt: Npt, delegated: IPv6Network, told: Collection[IPv6Network]
) -> tuple[tuple[IPv6Network, ...], tuple[IPv6Network, ...]]:
    """The /64s that are routed as they are, and the internal ones that no host may use for it."""
    used = mapped(npt.mappings, wish.uses, whole=npt.complete)
    lent = tuple(p for p in sorted(told) if p.subnet_of(delegated) and not any(p.overlaps(other) for other in used))
    inner = (inside(npt.mappings, prefix.network_address) for prefix in lent)
    return lent, tuple(IPv6Network((address, lent[0].prefixlen)) for address in inner if address is not None)


def _usable(wish: Wish, addresses: Sequence[Address], now: float) -> tuple[Address, ...]:
    """Global addresses that the uplink was given or that are written, the oldest preferred one first."""
    found = [address for address in addresses if _is_usable(wish, address, now)]
    return tuple(sorted(found, key=lambda a: (a.deprecated, a.created, int(a.ip.ip), a.ip.network.prefixlen)))


def _is_usable(wish: Wish, address: Address, now: float) -> bool:
    ip = address.ip
    if not isinstance(ip, IPv6Interface) or address.scope or address.tentative or address.failed:
        return False
    if address.valid_until is not None and address.valid_until <= now:
        return False
    if ip.ip in wish.static:
        return True
    # An address that was added from a delegation is not the ISP's: what it lives in may be gone already.
    added = ip.network.prefixlen == _HOST and int(ip.ip) & _LOW == OWN_SUFFIX
    ours = address.protocol == PROTOCOL_OURS or added
    return not ours and ip.ip not in ULA and ip.ip not in LINK_LOCAL and ip.ip not in wish.site
