"""Uplinks as the firewall sees them: what their ingresses say, checked, and whether each family can be used.

The bus alone is a claim (facts: a DMZ address belongs to its claimant, a prefix never overlaps the plan or another
uplink's). An ingress whose agent is `lost` still forwards: only its link, its addresses and its health count.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, collapse_addresses
from types import MappingProxyType

from agent.config.settings import Settings
from agent.desired import Problem
from agent.model import (
    Deadline,
    Delegation,
    Family,
    FamilyHealth,
    IPAddress,
    Link,
    Peer,
    PrefixMapping,
    Reach,
    Reachability,
    State,
)
from agent.plan.firewall_claims import Claims, Member
from agent.plan.firewall_delegations import delegations, own6
from agent.plan.same import Same


@dataclass(frozen=True, slots=True)
class UplinkView:
    """One uplink. `down4`, `down6`: why the family cannot be used, empty where it can.

    `unreachable4`, `unreachable6`: why nothing can be sent there at all: like `down` but for probes, which only say
    that a better uplink should be taken. `degraded4`, `degraded6`: why it should be avoided where a better one exists.
    `reachable`: its ingress answers our own probes, or they know nothing yet. `health4`, `health6`: what its own probes
    say, None for unknown. `known`: its ingress has spoken. `mac`, `ipv4`, `link_local`: on the DMZ.
    `mappings`: the 1:1 translations; `nat66`: other internal prefixes are translated too. `delegations`: the prefixes
    it was given, the best first; `own6`: its own addresses. `global6`: internal /64 of a network → the global /64 that
    the network's hosts have of it; `only6`: those of the networks whose hosts have no other address.
    """

    name: str
    mark: int
    known: bool = False
    mac: str = ""
    ipv4: IPv4Address | None = None
    link_local: IPv6Address | None = None
    unreachable4: str = ""
    unreachable6: str = ""
    down4: str = ""
    down6: str = ""
    degraded4: str = ""
    degraded6: str = ""
    mode6: str = "none"
    mappings: tuple[PrefixMapping, ...] = ()
    nat66: bool = False
    delegations: tuple[Delegation, ...] = ()
    own6: tuple[IPv6Address, ...] = ()
    global6: Mapping[IPv6Network, IPv6Network] = field(default_factory=lambda: MappingProxyType({}))
    only6: frozenset[IPv6Network] = frozenset()
    external4: tuple[IPv4Network, ...] = ()
    external6: tuple[IPv6Network, ...] = ()
    mtu: int | None = None
    deadlines: tuple[float, ...] = ()
    reachable: bool = True
    health4: FamilyHealth | None = None
    health6: FamilyHealth | None = None

    def health(self, family: Family) -> FamilyHealth | None:
        """What the ingress's probes say of a family, None for unknown."""
        return self.health4 if family == 4 else self.health6  # noqa: PLR2004

    def down(self, family: Family) -> str:
        """Why a family cannot be used, empty where it can."""
        return self.down4 if family == 4 else self.down6  # noqa: PLR2004

    def degraded(self, family: Family) -> str:
        """Why a family should be avoided where a better uplink exists (loss, latency), empty where it need not."""
        return self.degraded4 if family == 4 else self.degraded6  # noqa: PLR2004

    def refuses(self, family: Family, prefix: IPv6Network | None, *, probed: bool = True) -> str:
        """Why a network cannot use this uplink for a family, empty where it can. `prefix`: the network's /64.

        With `probed` False probes that fail are no reason.
        """
        unreachable = self.unreachable4 if family == 4 else self.unreachable6  # noqa: PLR2004
        down = self.down(family) if probed else unreachable
        if down or family == 4 or prefix is None:  # noqa: PLR2004
            return down
        if prefix in self.only6:
            return "" if prefix in self.global6 or self.mode6 == "routed" else "no global prefix for this network"
        if self.mode6 != "networks" or self.nat66:
            return ""
        return "" if self.maps(prefix) else "no mapping for this network"

    def maps(self, prefix: IPv6Network) -> bool:
        """Whether hosts of an internal prefix are reached from outside by addresses of their own."""
        if self.mode6 == "routed" or prefix in self.global6:
            return True
        return any(prefix.subnet_of(mapping.internal) for mapping in self.mappings)


def _expired(until: Deadline, now: float) -> bool:
    return until is not None and until <= now


def _health(peer: Peer, now: float) -> tuple[FamilyHealth | None, FamilyHealth | None]:
    """Health by family; unknown once it expired, which is not down."""
    health = peer.health
    if health is None or _expired(health.valid_until, now):
        return None, None
    return health.ipv4, health.ipv6


def _unreachable(peer: Peer, next_hop: IPAddress | None) -> str:
    if peer.link is None:
        return "nothing heard of it"
    if not peer.link.carrier:
        return "no carrier"
    return "" if next_hop is not None else "no address on the DMZ"


def _no_ipv4(peer: Peer, now: float) -> str:
    if peer.ipv4 is None:
        return "no IPv4 address"
    return "IPv4 lease expired" if _expired(peer.ipv4.valid_until, now) else ""


def _no_ipv6(peer: Peer, now: float) -> str:
    if peer.ipv6 is None or peer.ipv6.mode == "none":
        return "no IPv6"
    return "IPv6 lease expired" if _expired(peer.ipv6.valid_until, now) else ""


_UNREACHED: Mapping[Reachability, str] = {
    "silent": "its ingress does not answer",
    "refused": "its ingress says that nothing passes",
}


def _failed(health: FamilyHealth | None, reach: Reachability) -> str:
    """What probes say: the ingress's own, and ours of the ingress, which need no bus. The ingress's say more."""
    if health is not None and not health.up:
        return "probes fail"
    return _UNREACHED.get(reach, "")


@lru_cache(maxsize=256)
def _external(said: Same[Peer], site: IPv6Network) -> tuple[tuple[IPv4Network, ...], tuple[IPv6Network, ...]]:
    """An uplink's addresses and prefixes. Those inside the plan are the identity (hoster): nothing is outside there."""
    peer = said.value
    found: list[IPv6Network] = []
    if peer.ipv6 is not None:
        found += [IPv6Network(address.ip) for address in peer.ipv6.addresses]
        found += [mapping.external for mapping in peer.ipv6.mappings]
        found += [IPv6Network(peer.ipv6.nat66)] if peer.ipv6.nat66 is not None else []
    found += [delegation.prefix for delegation in peer.delegations.values()]
    routed = peer.ipv6 is not None and peer.ipv6.mode == "routed"
    found6 = collapse_addresses(prefix for prefix in found if not (routed and prefix.subnet_of(site)))
    return () if peer.ipv4 is None else (IPv4Network(peer.ipv4.address.ip),), tuple(found6)


def _in_force(peer: Peer, now: float) -> Peer:
    """Without the facts that have expired; the same object where none has."""
    gone4 = peer.ipv4 is not None and _expired(peer.ipv4.valid_until, now)
    gone6 = peer.ipv6 is not None and _expired(peer.ipv6.valid_until, now)
    old = [length for length, found in peer.delegations.items() if _expired(found.valid_until, now)]
    if not (gone4 or gone6 or old):
        return peer
    left = MappingProxyType({length: found for length, found in peer.delegations.items() if length not in old})
    return replace(peer, ipv4=None if gone4 else peer.ipv4, ipv6=None if gone6 else peer.ipv6, delegations=left)


def _worse(health: FamilyHealth | None) -> str:
    """Why a family that carries packets should be avoided."""
    return "loses or delays too many packets" if health is not None and health.degraded else ""


def _view(name: str, mark: int, state: State, now: float, claims: Claims) -> UplinkView:
    """One uplink. Call it in the order of priority: the first claim stands."""
    peer, reach = state.peers.get(name, Peer()), state.reach.get(name, Reach())
    member = claims.member(name, peer.link) if peer.link is not None else Member()
    unreachable4 = _unreachable(peer, member.ipv4) or _no_ipv4(peer, now)
    unreachable6 = _unreachable(peer, member.link_local) or _no_ipv6(peer, now)
    health4, health6 = _health(peer, now)
    ipv6 = peer.ipv6 if not _no_ipv6(peer, now) else None
    wanted4, wanted6 = _external(Same(_in_force(peer, now)), claims.site)
    further = claims.further4.get(name, ()) if wanted4 else ()
    external4 = tuple(n for n in (*wanted4, *further) if claims.outside(name, n))
    external6 = tuple(n for n in wanted6 if claims.outside(name, n))
    return UplinkView(
        name=name,
        mark=mark,
        known=peer.link is not None,
        mac=member.mac,
        ipv4=member.ipv4,
        link_local=member.link_local,
        unreachable4=unreachable4,
        unreachable6=unreachable6,
        down4=unreachable4 or _failed(health4, reach.ipv4),
        down6=unreachable6 or _failed(health6, reach.ipv6),
        degraded4=_worse(health4),
        degraded6=_worse(health6),
        mode6=ipv6.mode if ipv6 is not None else "none",
        mappings=ipv6.mappings if ipv6 is not None else (),
        nat66=ipv6 is not None and ipv6.nat66 is not None,
        delegations=delegations(peer, external6, now),
        own6=own6(ipv6),
        external4=external4,
        external6=external6,
        mtu=peer.link.mtu if peer.link is not None else None,
        deadlines=tuple(_deadlines(peer, now)),
        reachable="silent" not in {reach.ipv4, reach.ipv6},
        health4=health4,
        health6=health6,
    )


def _deadlines(peer: Peer, now: float) -> Iterator[float]:
    """The moments at which time alone changes what is said here."""
    facts: Iterable[Deadline] = (
        *(fact.valid_until for fact in (peer.ipv4, peer.ipv6, peer.health) if fact is not None),
        *(delegation.valid_until for delegation in peer.delegations.values()),
    )
    return (until for until in facts if until is not None and until > now)


def views(
    settings: Settings, state: State, now: float, dmz: Link | None, marks: Mapping[str, int]
) -> tuple[dict[str, UplinkView], tuple[Problem, ...]]:
    """All uplinks that have a mark, best first, and what is wrong with their claims."""
    claims = Claims(settings, marks, dmz, state)
    found = {}
    for name in settings.uplinks_by_priority():
        if name in marks:
            found[name] = _view(name, marks[name], state, now, claims)
    return found, tuple(claims.refused)
