"""The choice as the firewall's rules are told it: which device, rule or share leads to which uplink's mark."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from agent.config.settings import Settings
from agent.desired.firewall import PINNED, RULED, Balance, Steer
from agent.model import Choice, Family
from agent.plan.choice import Order
from agent.plan.firewall_uplinks import UplinkView
from agent.plan.standing import FAMILIES, Outlook


def choice(
    found: tuple[Choice, ...], family: Family, devices: Mapping[str, str], uplinks: Mapping[str, UplinkView]
) -> tuple[tuple[str, int], ...]:
    """(device, mark) of one family."""
    picked = ((c.network, c.of(family).uplink) for c in found)
    return tuple((devices[network], uplinks[name].mark) for network, name in picked if name is not None)


def steered(  # noqa: PLR0917 - what it depends on
    steers: Iterable[tuple[str, Steer]],
    orders: Mapping[str, Order],
    family: Family,
    devices: Mapping[str, str],
    uplinks: Mapping[str, UplinkView],
    out: Outlook,
) -> Iterator[tuple[str, Steer, int]]:
    """(device, rule, mark) of the rules whose uplink can be used; `via` has another while it is drained."""
    for name, steer in steers:
        uplink = uplinks.get(steer.uplink)
        prefix = next(iter(orders[name].subnets6), None)
        if uplink is None or uplink.refuses(family, prefix) or (steer.uplink in out.drained and not steer.only):
            continue
        yield devices[name], steer, uplink.mark | (PINNED if steer.only else RULED)


def balances(settings: Settings, found: tuple[Choice, ...], uplinks: Mapping[str, UplinkView]) -> Iterator[Balance]:
    """What uplinks share now."""
    for chosen in found:
        for family in FAMILIES:
            shares = chosen.of(family).shares
            if shares:
                marked = tuple((uplinks[name].mark, weight) for name, weight in shares)
                sticky = settings.networks[chosen.network].balance == "source"
                yield Balance(chosen.network, family, marked, sticky=sticky)
