"""What must not move to an uplink whose route could not be set. Pure."""

from __future__ import annotations

from dataclasses import replace

from agent.desired import Plan, Ruleset
from agent.model import State

# The elements and chains that send traffic to an uplink by its mark; the table of mark n is 1000 + n.
CHOICES = ("choice4", "choice6")
STEERS = ("steer4", "steer6")
SHARES = "share_"
FIRST_TABLE = 1000
MARK = 0xFF


def unrouted(plan: Plan, state: State) -> frozenset[int]:
    """Marks of the uplinks whose default route is planned and not observed."""
    there = {(r.table, r.gateway) for r in state.routes if r.destination.prefixlen == 0}
    wanted = ((r.table, r.gateway) for r in plan.routes if r.destination.prefixlen == 0 and r.gateway is not None)
    return frozenset(table - FIRST_TABLE for table, gateway in wanted if (table, gateway) not in there)


def hold(target: Ruleset, applied: Ruleset, missing: frozenset[int]) -> Ruleset:
    """`target`, but what would newly send traffic to an uplink of `missing` stays as it was applied."""
    elements = {name: dict(target.elements[name]) for name in target.elements}
    for name in CHOICES:
        before = applied.elements.get(name, {})
        for key, value in tuple(elements.get(name, {}).items()):
            if int(value, 16) & MARK not in missing or before.get(key) == value:
                continue
            if key in before:
                elements[name][key] = before[key]
            else:
                del elements[name][key]
    chains = dict(target.chains)
    if applied.skeleton == target.skeleton:  # else the numbers of their rules mean others
        elements |= {name: dict(applied.elements[name]) for name in STEERS if name in applied.elements}
        chains |= {name: rules for name, rules in applied.chains.items() if name.startswith(SHARES)}
    return replace(target, elements=elements, chains=chains)
