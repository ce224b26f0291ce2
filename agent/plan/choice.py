"""The choice of uplink, per network and family: the first of its order that can be used."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv6Network

from agent.config.settings import Settings
from agent.model import Choice, Family, FamilyChoice
from agent.plan.firewall_uplinks import UplinkView
from agent.plan.networks import subnets6


def choose(
    order: tuple[str, ...], uplinks: Mapping[str, UplinkView], family: Family, prefix: IPv6Network | None
) -> FamilyChoice:
    """The first uplink of `order` that can be used, and why: what keeps the better ones from it.

    Failback is the same rule: a better uplink that returns takes new connections; those on a healthy one stay there.
    """
    reasons: list[str] = []
    for name in order:
        uplink = uplinks.get(name)
        why = uplink.refuses(family, prefix) if uplink is not None else "it has no mark"
        if not why:
            return FamilyChoice(name, "; ".join(reasons) or "best")
        reasons.append(f"{name}: {why}")
    return FamilyChoice(None, "; ".join(reasons) or "no uplink is configured")


def choices(settings: Settings, uplinks: Mapping[str, UplinkView]) -> tuple[Choice, ...]:
    """The choice of each network, in the order of the configuration."""
    result = []
    for name, network in settings.networks.items():
        order = settings.uplinks_of(name)
        prefixes = subnets6(settings, name)
        # The DMZ itself needs no prefix of its own for the choice: its hosts may have other addresses of the plan.
        no4 = FamilyChoice(None, "no IPv4 on this network")
        no6 = FamilyChoice(None, "no IPv6 on this network")
        ipv4 = choose(order, uplinks, 4, None) if network.ipv4 is not None else no4
        ipv6 = choose(order, uplinks, 6, prefixes[0]) if prefixes else no6
        result.append(Choice(name, ipv4, ipv6))
    return tuple(result)
