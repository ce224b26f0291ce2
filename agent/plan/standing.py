"""How uplinks fare over time, per family: failures, hold-down, and what people wish. Kept in `Memory`.

An uplink is well when it can be used and is not degraded. One that failed is avoided, where another can be used, until
it has been well for the hold-down time, which doubles with each failure; an hour without a failure is forgiveness.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from agent.model import Family, Memory, Standing, Wish
from agent.plan.firewall_uplinks import UplinkView

FAMILIES: tuple[Family, ...] = (4, 6)
# Seconds.
HOLD_LIMIT = 300.0
FORGIVEN_AFTER = 3600.0
_DOUBLINGS = 16


def key(name: str, family: Family) -> str:
    """The key of an uplink's or a network's family in `Memory`."""
    return f"{name}/{family}"


def hold(base: float, flaps: int) -> float:
    """Seconds that an uplink must have been well after so many failures. `base` is `site.hold_down`."""
    return min(base * 2 ** min(flaps - 1, _DOUBLINGS), HOLD_LIMIT) if flaps else 0.0


def standings(memory: Memory, uplinks: Mapping[str, UplinkView], now: float) -> Mapping[str, Standing]:
    """The standing of each uplink and family now. One of which nothing was heard keeps what it had.

    An uplink that comes up for the first time has not failed: nothing is held against it.
    """
    found = {}
    for name, uplink in uplinks.items():
        for family in FAMILIES:
            known = memory.standings.get(key(name, family))
            fares = known if not uplink.known else _fares(known, uplink, family, now)
            if fares is not None:
                found[key(name, family)] = _forgiven(fares, memory.wishes.get(name), now)
    return MappingProxyType(found)


def _fares(known: Standing | None, uplink: UplinkView, family: Family, now: float) -> Standing | None:
    well = not uplink.down(family) and not uplink.degraded(family)
    if known is None:
        return Standing(well=True, since=now) if well else None
    if well == known.well:
        return known
    return Standing(well, now, known.flaps + (not well), away=known.away or not well)


def _forgiven(standing: Standing, wish: Wish | None, now: float) -> Standing:
    """After an hour, or when a person asks for it."""
    if wish is not None and wish.kind != "drain" and wish.at >= standing.since and standing.well:
        return Standing(standing.well, standing.since)
    if standing.well and standing.flaps and now >= standing.since + FORGIVEN_AFTER:
        return Standing(standing.well, standing.since, away=standing.away)
    return standing


@dataclass(frozen=True, slots=True)
class Outlook:
    """What speaks against uplinks that can be used.

    `held`: (uplink, family) → why. `away`: those that failed and that nobody asked for since. `drained`, `preferred`:
    by hand. `metered`: by configuration. `deadlines`: when time alone changes something here.
    """

    held: Mapping[tuple[str, Family], str] = field(default_factory=lambda: MappingProxyType({}))
    away: frozenset[tuple[str, Family]] = frozenset()
    drained: frozenset[str] = frozenset()
    preferred: str | None = None
    metered: frozenset[str] = frozenset()
    deadlines: tuple[float, ...] = ()


def outlook(
    found: Mapping[str, Standing], wishes: Mapping[str, Wish], metered: frozenset[str], base: float, now: float
) -> Outlook:
    """The outlook at `now`. `base`: `site.hold_down` in seconds."""
    held: dict[tuple[str, Family], str] = {}
    away: set[tuple[str, Family]] = set()
    deadlines: list[float] = []
    for place, standing in found.items():
        name, _, number = place.rpartition("/")
        family: Family = 4 if number == "4" else 6
        if standing.away:
            away.add((name, family))
        if not standing.well or not standing.flaps:
            continue
        seconds = hold(base, standing.flaps)
        times = "once" if standing.flaps == 1 else f"{standing.flaps} times"
        if now < standing.since + seconds:
            held[name, family] = f"failed {times} lately, must be well for {seconds:g} s"
            deadlines.append(standing.since + seconds)
        deadlines.append(standing.since + FORGIVEN_AFTER)
    return Outlook(
        held=MappingProxyType(held),
        away=frozenset(away),
        drained=frozenset(name for name, wish in wishes.items() if wish.kind == "drain"),
        preferred=next((name for name, wish in sorted(wishes.items()) if wish.kind == "prefer"), None),
        metered=metered,
        deadlines=tuple(deadlines),
    )
