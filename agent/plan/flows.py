"""Connections that must end: those of an uplink that is down, and those left behind by a failback.

Without a target nothing is touched: the uplink may return before they time out. The connection mark tells which could
move: an inbound one, or one of a rule with `only`, has no other uplink to go to (`PINNED`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from agent.desired import FlowEnd
from agent.desired.firewall import PINNED, RULED
from agent.model import Choice, Family, IPNetwork, Selection
from agent.plan.choice import Order
from agent.plan.firewall_uplinks import UplinkView
from agent.plan.marks import MASK
from agent.plan.standing import FAMILIES, Outlook, key

# Seconds that connections stay on a metered uplink once the network has another.
METERED_LIMIT = 60.0
MOVABLE = MASK | PINNED
CHOSEN = MASK | PINNED | RULED


def _subnets(order: Order, family: Family) -> tuple[IPNetwork, ...]:
    return order.subnets4 if family == 4 else order.subnets6  # noqa: PLR2004


def failed(
    orders: Mapping[str, Order], uplinks: Mapping[str, UplinkView], found: tuple[Choice, ...]
) -> Iterator[FlowEnd]:
    """Connections of an uplink's family that is down, of the networks that have another uplink to go to.

    An uplink of which nothing was heard is not down (we may have just begun).
    """
    # A network that is left with an uplink whose probes fail has no other to go to.
    usable = {family: {name for name, uplink in uplinks.items() if not uplink.down(family)} for family in FAMILIES}
    targets = {
        family: {choice.network for choice in found if choice.of(family).uplink in usable[family]}
        for family in FAMILIES
    }
    for uplink in uplinks.values():
        for family in FAMILIES:
            if not uplink.known or not uplink.down(family):
                continue
            users = {name for name, order in orders.items() if uplink.name in order.names and _subnets(order, family)}
            moving = users & targets[family]
            if moving == users and users:
                yield FlowEnd(family, mark=uplink.mark, mask=MOVABLE, reset=True)
            elif moving:
                inside = tuple(subnet for name in sorted(moving) for subnet in _subnets(orders[name], family))
                inside += tuple(lent for internal, lent in uplink.global6.items() if internal in inside)
                yield FlowEnd(family, mark=uplink.mark, mask=MOVABLE, inside=inside, reset=True)


def _limit(order: Order, *, metered: bool) -> float | None:
    """Seconds after a failback when connections left behind end, None for never."""
    if order.hard:
        return 0.0
    limits = [limit for limit in (order.limit, METERED_LIMIT if metered else None) if limit is not None]
    return None if order.manual else min(limits, default=None)


def left_behind(
    orders: Mapping[str, Order],
    uplinks: Mapping[str, UplinkView],
    selections: Mapping[str, Selection],
    outlook: Outlook,
    now: float,
) -> tuple[tuple[FlowEnd, ...], tuple[float, ...]]:
    """Connections on uplinks that a network has left though they are up, and the moments when more of them end.

    Those of an uplink that a person drained end by themselves.
    """
    ending: dict[tuple[str, Family], list[IPNetwork]] = {}
    moments: list[float] = []
    for name, order in orders.items():
        for family in FAMILIES:
            selection = selections.get(key(name, family))
            if selection is None or not selection.uplinks or not selection.left:
                continue
            for uplink in selection.left:
                limit = _limit(order, metered=uplink in outlook.metered)
                if limit is None or uplink in outlook.drained or uplink not in uplinks or uplinks[uplink].down(family):
                    continue
                if now >= selection.since + limit:
                    ending.setdefault((uplink, family), []).extend(_subnets(order, family))
                else:
                    moments.append(selection.since + limit)
    ends = (
        FlowEnd(family, mark=uplinks[uplink].mark, mask=CHOSEN, inside=tuple(inside), reset=True)
        for (uplink, family), inside in ending.items()
    )
    return tuple(ends), tuple(moments)
