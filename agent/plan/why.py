"""Which uplink a host would use, and why: read from the plan that holds, as a packet would be judged."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from agent.config.settings import INTERNET, Settings
from agent.desired import Plan
from agent.desired.firewall import FilterRule, FirewallTable, Match, Steer
from agent.model import Choice, Family, FamilyChoice, IPAddress, IPNetwork
from agent.plan.networks import subnets6


@dataclass(frozen=True, slots=True)
class Way:
    """What becomes of a new connection: the network of its source, its uplink (None: none), and why, line by line."""

    network: str | None
    uplink: str | None
    lines: tuple[str, ...]


def network_of(settings: Settings, address: IPAddress) -> str | None:
    """The network that an address is in, None for one outside."""
    for name, network in settings.networks.items():
        own = (network.ipv4.network,) if network.ipv4 is not None else ()
        if any(address in subnet for subnet in (*own, *subnets6(settings, name))):
            return name
    return None


def why(
    settings: Settings,
    plan: Plan,
    address: IPAddress,
    destination: IPAddress | None = None,
    macs: Mapping[IPAddress, str] | None = None,
) -> Way:
    """The way of a new connection from `address`, to `destination` or anywhere outside.

    `macs`: what is known of hosts, since rules know some by their MAC. Raises ValueError for two families.
    """
    if destination is not None and destination.version != address.version:
        raise ValueError(f"{address} and {destination} are of different families")
    family: Family = 4 if address.version == 4 else 6  # noqa: PLR2004
    table = plan.nft
    assert isinstance(table, FirewallTable)  # noqa: S101 - the firewall's plan
    own = _lent(table, address)
    network = own[0] if own is not None else network_of(settings, address)
    if network is None:
        return Way(None, None, (f"{address} is in none of the networks: its packets are dropped",))
    if destination is not None and (inside := _inside(settings, table, destination)) is not None:
        to = f"from {network} to {inside}"
        return Way(network, None, (f"{destination} is inside, {to}: no uplink, the rules decide",))
    if own is not None and not own[1]:
        return Way(network, None, (f"{address} is of a prefix that was withdrawn: refused, ICMPv6 code 5",))
    names = {mark & 0xFF: name for name, mark in plan.memory.marks.items()}
    if own is not None:
        # RFC 8028: no rule and no choice leads it elsewhere.
        name = names[own[1]]
        chosen = FamilyChoice(name, f"{address} is of its prefix")
        return _outward(_of(table, name), network, chosen, address, (macs or {}).get(address, ""))
    if destination is not None and (mark := _external(table, destination)) is not None:
        name = names[mark]
        return Way(network, name, (f"{destination} is an address of {name}: its ingress turns the packet around",))
    choice = next((p.fact for p in plan.facts if isinstance(p.fact, Choice) and p.fact.network == network), None)
    chosen = choice.of(family) if choice is not None else FamilyChoice(None, "no choice yet")
    return _outward(table, network, chosen, address, (macs or {}).get(address, ""))


def _lent(table: FirewallTable, address: IPAddress) -> tuple[str, int] | None:
    """The network that has a global address, and the mark of its uplink: 0 where it was withdrawn."""
    return next(((network, mark) for network, prefix, mark in table.lent6 if address in prefix), None)


def _inside(settings: Settings, table: FirewallTable, address: IPAddress) -> str | None:
    own = _lent(table, address)
    return own[0] if own is not None else network_of(settings, address)


def _of(table: FirewallTable, uplink: str) -> FirewallTable:
    """The table with the rules for one uplink alone."""
    return replace(table, steered6=tuple(found for found in table.steered6 if found[1].uplink == uplink))


def _external(table: FirewallTable, destination: IPAddress) -> int | None:
    external: list[tuple[IPNetwork, int]] = [*table.external4, *table.external6]
    return next((mark for network, mark in external if destination in network), None)


def _outward(table: FirewallTable, network: str, chosen: FamilyChoice, address: IPAddress, mac: str) -> Way:
    """By the rules to the internet in their order, as far as no ports are needed to tell."""
    family: Family = 4 if address.version == 4 else 6  # noqa: PLR2004
    steered = table.steered4 if family == 4 else table.steered6  # noqa: PLR2004
    usable = {steer for _, steer, _ in steered}
    lines: list[str] = []
    pairs = (pair for pair in table.policy.pairs if (pair.source, pair.destination) == (network, INTERNET))
    for rule in next((pair.rules for pair in pairs), ()):
        number = rule.counter.removeprefix("rule_")
        for match in _hits(rule, address, mac, family):
            uplink = _by_rule(rule.steer, usable, chosen)
            if match.protocol:
                lines.append(f"rule {number}, {_ports(match)}: {_said(rule, uplink)}")
                continue
            lines.append(f"rule {number}: {_said(rule, uplink)}")
            if rule.action != "accept":
                return Way(network, None, tuple(lines))
            if rule.steer is not None:
                return Way(network, uplink, tuple(lines))
            return Way(network, chosen.uplink, (*lines, *_choice(network, family, chosen)))
    lines.append("all else: no rule lets it out")
    return Way(network, chosen.uplink, (*lines, *_choice(network, family, chosen)))


def _hits(rule: FilterRule, address: IPAddress, mac: str, family: Family) -> Iterator[Match]:
    for match in rule.matches:
        if match.family not in {None, family} or (match.source_mac and match.source_mac != mac):
            continue
        if not match.sources or any(address in network for network in match.sources):
            yield match


def _by_rule(steer: Steer | None, usable: set[Steer], chosen: FamilyChoice) -> str | None:
    if steer is None:
        return chosen.uplink
    return steer.uplink if steer in usable else None if steer.only else chosen.uplink


def _said(rule: FilterRule, uplink: str | None) -> str:
    if rule.action != "accept":
        return rule.action
    steer = rule.steer
    if steer is None:
        return f"accept, by {uplink}" if uplink is not None else "accept, but there is no uplink"
    if uplink == steer.uplink:
        return f"accept, by {uplink} ({'only' if steer.only else 'via'})"
    if steer.only:
        return f"only by {steer.uplink}, which cannot be used"
    return f"accept, by {uplink or 'no uplink'}, since {steer.uplink} cannot be used"


def _ports(match: Match) -> str:
    ports = ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in match.ports)
    return f"{match.protocol} {ports}".rstrip()


def _choice(network: str, family: Family, chosen: FamilyChoice) -> Iterator[str]:
    shares = ", ".join(f"{name} {weight}" for name, weight in chosen.shares)
    what = f"shared by {shares}" if shares else chosen.uplink or "no uplink"
    yield f"{network} uses for IPv{family}: {what} ({chosen.why})"
