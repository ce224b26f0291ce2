"""What an ingress probes, and what it makes of the answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from agent.config import AnyUplink
from agent.desired.probe import FamilyProbes, Probes, Rounds, Target
from agent.model import Family, FamilyHealth, IPAddress, UplinkHealth
from agent.plan.ingress_seen import Seen

_FAMILIES: tuple[Family, ...] = (4, 6)
# The next hop answers for one link only, and often for many customers: once a second is enough.
_NEXT_HOP = Rounds(interval=1.0, timeout=1.0, recover_after=3, max_loss=None, doubt=True)
_NO_NEIGHBOURS = frozenset({"ppp", "wireguard", "none"})


@dataclass(frozen=True, slots=True)
class Verdicts:
    """How the uplink fares, per family: None is not known (not probed, or nothing has answered or failed yet).

    `alive`: the families that carry packets, as far as is known.
    """

    families: Mapping[Family, FamilyHealth | None]
    alive: frozenset[Family]
    valid_until: float | None = None

    @property
    def fact(self) -> UplinkHealth | None:
        """What the bus is told, None for nothing."""
        four, six = self.families[4], self.families[6]
        return None if four is None and six is None else UplinkHealth(four, six, self.valid_until)


def probes(seen: Seen, forwarders: Iterable[IPAddress] = ()) -> Probes | None:
    """What shall be probed now: families with an address and a default route, while the link has a carrier.

    `forwarders`: DNS servers to ask for the names of targets where the uplink's lease has none.
    """
    wan = seen.wan.link
    if wan is None or not (wan.up and wan.carrier):
        return None
    servers = tuple(forwarders)
    found = (_family(seen, family, wan.kind, servers) for family in _FAMILIES)
    families = tuple(one for one in found if one is not None)
    return Probes(wan.name, wan.index, families) if families else None


def verdicts(seen: Seen, probing: Probes | None) -> Verdicts:
    """What the answers say. A family that has just appeared is down until its first good round.

    Where the agent has just begun (no health at all yet) nothing is known, and what was in use stays so.
    """
    probed = {one.family for one in probing.families} if probing is not None else set()
    health = seen.state.health
    known: dict[Family, FamilyHealth | None] = dict.fromkeys(_FAMILIES)
    if health is not None:
        told = {4: health.ipv4, 6: health.ipv6}
        known |= {family: told[family] or FamilyHealth(up=False) for family in _FAMILIES if family in probed}
    alive = frozenset(f for f in _FAMILIES if _usable(seen, f) and ((verdict := known[f]) is None or verdict.up))
    return Verdicts(MappingProxyType(known), alive, health.valid_until if health is not None else None)


def _usable(seen: Seen, family: Family) -> bool:
    """Whether the uplink is a gateway for the family, probes aside."""
    wan = seen.wan.link
    has_route, _ = seen.default_route(family)
    here = wan is not None and wan.up and wan.carrier and has_route
    return here and (bool(seen.own4) if family == 4 else seen.ladder.mode != "none")  # noqa: PLR2004


def _family(seen: Seen, family: Family, link_kind: str, servers: tuple[IPAddress, ...]) -> FamilyProbes | None:
    source, (has_route, gateway) = _source(seen, family), seen.default_route(family)
    if source is None or not has_route:
        return None
    targets, rounds = _targets(seen.share.uplink, family)
    if not targets and gateway is not None and link_kind not in _NO_NEIGHBOURS:
        targets, rounds = (Target("neighbour", gateway),), _NEXT_HOP
    if not targets:
        return None
    lease = seen.lease(family)
    dns: tuple[IPAddress, ...] = ()
    if any(target.address is None for target in targets):
        dns = tuple(one for one in (*(lease.dns if lease is not None else ()), *servers) if one.version == family)
    return FamilyProbes(family, source, targets, rounds, dns, lost=_lost(seen, gateway))


def _targets(uplink: AnyUplink, family: Family) -> tuple[tuple[Target, ...], Rounds]:
    probe = uplink.probe
    if probe is None:
        return (), Rounds()
    targets = tuple(t for t in probe.targets if t.address is None or t.address.version == family)
    return targets, Rounds(
        interval=probe.interval,
        timeout=probe.timeout,
        fail_after=probe.fail_after,
        recover_after=probe.recover_after,
        quorum=probe.quorum,
        max_loss=float(probe.degraded_loss),
        max_latency=probe.degraded_latency,
    )


def _source(seen: Seen, family: Family) -> IPAddress | None:
    """The uplink's own address that packets from here bear: never translated, and stateful on the way back."""
    if family == 4:  # noqa: PLR2004
        return seen.own4[0][0].ip if seen.own4 else None
    if seen.wan.link is None:
        return None
    there = {a.ip.ip for a in seen.state.addresses_of(seen.wan.link.index) if not (a.tentative or a.failed)}
    return next((ip for ip in seen.ladder.own if ip in there), None)


def _lost(seen: Seen, gateway: IPAddress | None) -> bool:
    """Whether the kernel has given up asking for the next hop's link-layer address."""
    if gateway is None or seen.wan.link is None:
        return False
    entry = seen.state.neighbours.get((seen.wan.link.index, gateway))
    return entry is not None and entry.state == "failed"
