"""What an ingress probes, and what it makes of the answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from agent.config import AnyUplink
from agent.desired.probe import FamilyProbes, NextHop, Probes, Rounds, Target
from agent.model import Family, FamilyHealth, IPAddress, Standing, UplinkHealth
from agent.plan.ingress_seen import Seen
from agent.plan.standing import key

_FAMILIES: tuple[Family, ...] = (4, 6)
# The next hop answers for one link only, and often for many customers: once a second is enough.
_NEXT_HOP = Rounds(interval=1.0, timeout=1.0, recover_after=3, max_loss=None, doubt=True)
_NO_NEIGHBOURS = frozenset({"ppp", "wireguard", "none"})
_FOUND: Mapping[str, NextHop] = MappingProxyType({"failed": "lost", "reachable": "found", "permanent": "found"})
# Seconds that a verdict of an earlier life of the agent is told for; the first of its own comes long before.
_RECALLED = 30.0


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


def verdicts(seen: Seen, probing: Probes | None, now: float) -> Verdicts:
    """What the answers say. A family that has just appeared is down until its first good round.

    Where the agent has just begun (no health at all yet) what was down stays down; of the others nothing is known, and
    what was in use stays so.
    """
    families = probing.families if probing is not None else ()
    probed = {one.family for one in families}
    health = seen.state.health
    known: dict[Family, FamilyHealth | None] = dict.fromkeys(_FAMILIES)
    if health is None:
        known |= {one.family: FamilyHealth(up=False) for one in families if one.was_down}
    else:
        told = {4: health.ipv4, 6: health.ipv6}
        known |= {family: told[family] or FamilyHealth(up=False) for family in _FAMILIES if family in probed}
    alive = frozenset(f for f in _FAMILIES if _usable(seen, f) and ((verdict := known[f]) is None or verdict.up))
    return Verdicts(MappingProxyType(known), alive, health.valid_until if health is not None else now + _RECALLED)


def standings(seen: Seen, node: str) -> Mapping[str, Standing]:
    """What a next life of the agent must know: the families that are down, by `<uplink>/<4 or 6>`."""
    health = seen.state.health
    if health is None:
        return seen.state.memory.standings
    told: tuple[tuple[Family, FamilyHealth | None], ...] = ((4, health.ipv4), (6, health.ipv6))
    down = {key(node, family): one.since for family, one in told if one is not None and not one.up}
    return MappingProxyType({place: Standing(well=False, since=since or 0.0) for place, since in down.items()})


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
    began = seen.state.health is None
    was_down = began and key(seen.share.node, family) in seen.state.memory.standings
    return FamilyProbes(family, source, targets, rounds, dns, _next_hop(seen, gateway), was_down=was_down)


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


def _next_hop(seen: Seen, gateway: IPAddress | None) -> NextHop:
    """What the kernel makes of the next hop; a stale or incomplete entry says nothing."""
    if gateway is None or seen.wan.link is None:
        return "unknown"
    entry = seen.state.neighbours.get((seen.wan.link.index, gateway))
    return _FOUND.get(entry.state, "unknown") if entry is not None else "unknown"
