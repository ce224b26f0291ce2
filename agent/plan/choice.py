"""The choice of uplink, per network and family: the best that can be used, or those that share.

What speaks against an uplink that can be used ranks it behind the others, it never leaves a network without one: first
what a person drained, then what is degraded, what is held down after a failure, what is metered; at last the order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from ipaddress import IPv4Network, IPv6Network
from types import MappingProxyType

from agent.config.preference import Preference, groups
from agent.config.settings import Settings
from agent.model import Choice, Family, FamilyChoice, Memory, Selection
from agent.plan.firewall_uplinks import UplinkView
from agent.plan.networks import subnets6
from agent.plan.standing import FAMILIES, Outlook, key

NONE4 = FamilyChoice(None, "no IPv4 on this network")
NONE6 = FamilyChoice(None, "no IPv6 on this network")
NOTHING = Outlook()
_Places = tuple[tuple[Preference, ...], ...]


@dataclass(frozen=True, slots=True)
class Order:
    """What the configuration says of a network's uplinks. `number` is the same for networks with the same `places`.

    `subnets4`, `subnets6`: where its hosts are. `limit`: seconds after which what `soft` left behind ends.
    """

    number: int
    places: _Places
    names: frozenset[str]
    subnets4: tuple[IPv4Network, ...]
    subnets6: tuple[IPv6Network, ...]
    manual: bool
    hard: bool
    limit: float | None


def orders(settings: Settings) -> Mapping[str, Order]:
    """Network → its order."""
    numbers: dict[_Places, int] = {}
    found = {}
    for name, network in settings.networks.items():
        places = groups(settings.preferences(name))
        mode, limit = settings.failback(name)
        found[name] = Order(
            number=numbers.setdefault(places, len(numbers)),
            places=places,
            names=frozenset(entry.uplink for place in places for entry in place),
            subnets4=(network.ipv4.network,) if network.ipv4 is not None else (),
            # The DMZ itself needs no prefix of its own for the choice: its hosts may have other addresses of the plan.
            subnets6=subnets6(settings, name),
            manual=mode == "manual",
            hard=mode == "hard",
            limit=limit,
        )
    return MappingProxyType(found)


@dataclass(frozen=True, slots=True)
class _Candidate:
    """An uplink that can be used: what speaks against it in words, and as a rank, the lowest is best."""

    entry: Preference
    against: str
    rank: tuple[bool, bool, bool, bool, bool, int]


def _candidate(
    entry: Preference, uplink: UplinkView, place: int, family: Family, outlook: Outlook, *, used: bool, waits: bool
) -> _Candidate:
    name = entry.uplink
    held = outlook.held.get((name, family), "")
    if waits:
        held = f"back; `routerctl uplink {name} enable` takes it again"
    drained = name in outlook.drained
    preferred = name == outlook.preferred
    metered = name in outlook.metered and not preferred
    degraded = uplink.degraded(family)
    against = ("drained by hand" if drained else "", degraded, held, "metered" if metered else "")
    # What is in use stays so: of two that failed, the network does not move to the one that came back later.
    rank = (drained, bool(degraded), bool(held) and not used, metered, not preferred, place)
    return _Candidate(entry, ", ".join(filter(None, against)), rank)


def _steady(
    names: Iterable[str], uplinks: Mapping[str, UplinkView], family: Family, prefix: IPv6Network | None, out: Outlook
) -> bool:
    """Whether one of these serves well: nothing but a person moves a network away from it (`failback: manual`)."""
    found = (uplinks.get(name) for name in names if name not in out.drained)
    return any(u is not None and not u.refuses(family, prefix) and not u.degraded(family) for u in found)


def choose(  # noqa: PLR0917 - what a choice depends on
    places: _Places,
    uplinks: Mapping[str, UplinkView],
    family: Family,
    prefix: IPv6Network | None,
    outlook: Outlook = NOTHING,
    used: tuple[str, ...] = (),
    *,
    manual: bool = False,
) -> FamilyChoice:
    """The best of an order that can be used, and why: what keeps the better ones from it.

    `used`: the uplinks in use until now. `manual`: while one of them serves well, one that failed returns by hand only.
    """
    considered: list[tuple[str, str]] = []
    candidates: list[_Candidate] = []
    steady = manual and _steady(used, uplinks, family, prefix, outlook)
    for number, place in enumerate(places):
        for entry in place:
            uplink = uplinks.get(entry.uplink)
            refused = uplink.refuses(family, prefix) if uplink is not None else "it has no mark"
            if uplink is None or refused:
                considered.append((entry.uplink, refused))
                continue
            is_used = entry.uplink in used
            waits = steady and not is_used and (entry.uplink, family) in outlook.away
            candidate = _candidate(entry, uplink, number, family, outlook, used=is_used, waits=waits)
            considered.append((entry.uplink, candidate.against))
            candidates.append(candidate)
    if not candidates:
        why = "; ".join(f"{name}: {said}" for name, said in considered) or "no uplink is configured"
        doubted = [n for n, _ in considered if n in uplinks and not uplinks[n].refuses(family, prefix, probed=False)]
        # Where probes fail everywhere, they or their targets may be wrong: what is in use stays in use.
        last = next((name for name in doubted if name in used), next(iter(doubted), None))
        return FamilyChoice(last, why if last is None else f"no better one: {why}", considered=tuple(considered))
    best = min(candidate.rank for candidate in candidates)
    chosen = [candidate for candidate in candidates if candidate.rank == best]
    first = max(chosen, key=lambda candidate: candidate.entry.weight or 1)
    names = {candidate.entry.uplink for candidate in chosen}
    shares = tuple((c.entry.uplink, c.entry.weight or 1) for c in chosen) if len(chosen) > 1 else ()
    return FamilyChoice(
        first.entry.uplink, _why(considered, first, names, outlook), shares=shares, considered=tuple(considered)
    )


def _why(considered: list[tuple[str, str]], first: _Candidate, names: set[str], outlook: Outlook) -> str:
    """What keeps better ones away, and what speaks against the one taken all the same."""
    reasons = []
    for name, said in considered:
        if name in names:
            break
        reasons.append(f"{name}: {said or f'{outlook.preferred} is preferred by hand'}")
    if first.against:
        reasons.append(f"none is better than {first.entry.uplink}: {first.against}")
    return "; ".join(reasons) or "best"


def choices(
    found: Mapping[str, Order], uplinks: Mapping[str, UplinkView], memory: Memory, outlook: Outlook, now: float
) -> tuple[tuple[Choice, ...], Mapping[str, Selection]]:
    """The choice of each network, in the order of the configuration, and what is to be remembered of it."""
    by_network = any(uplink.mode6 == "networks" or uplink.only6 for uplink in uplinks.values())
    known: dict[tuple[object, ...], FamilyChoice] = {}
    dated: dict[tuple[object, ...], FamilyChoice] = {}
    result, selections = [], {}
    for name, order in found.items():
        chosen: dict[Family, FamilyChoice] = {4: NONE4, 6: NONE6}
        for family in FAMILIES:
            if not (order.subnets4 if family == 4 else order.subnets6):  # noqa: PLR2004
                continue
            prefix = order.subnets6[0] if family != 4 else None  # noqa: PLR2004
            place = key(name, family)
            before = memory.selections.get(place)
            used = before.uplinks if before is not None else ()
            # Many networks have one order: it is gone through once.
            same = (order.number, family, prefix if by_network else None, used, order.manual)
            if same not in known:
                known[same] = choose(order.places, uplinks, family, prefix, outlook, used, manual=order.manual)
            selection = selections[place] = _selection(before, known[same], now)
            if (*same, selection.since) not in dated:
                dated[*same, selection.since] = replace(known[same], since=selection.since)
            chosen[family] = dated[*same, selection.since]
        result.append(Choice(name, chosen[4], chosen[6]))
    return tuple(result), MappingProxyType(selections)


def _selection(before: Selection | None, choice: FamilyChoice, now: float) -> Selection:
    used = tuple(name for name, _ in choice.shares) or ((choice.uplink,) if choice.uplink is not None else ())
    if before is None:
        return Selection(used, now)
    if set(before.uplinks) == set(used):
        return before
    left = tuple(dict.fromkeys(name for name in (*before.left, *before.uplinks) if name not in used))
    return Selection(used, now, left)
