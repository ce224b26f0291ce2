"""Global addressing: /64s of delegated prefixes for the hosts of a network, beside or instead of its internal one.

The firewall hands them out (docs/decisions/0006): on every uplink of a network that delegates a prefix, a /64 that no
translation uses. What is handed out stays while its delegation does; what goes is remembered while a host may hold it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import IPv6Address, IPv6Interface, IPv6Network
from types import MappingProxyType

from agent.config.settings import Settings
from agent.desired import Problem, WantedAddress
from agent.model import Deadline, Delegation, Held, Link, Route
from agent.plan.firewall_uplinks import UplinkView
from agent.plan.networks import LAST_METRIC
from agent.plan.npt import Addressing, mapped, numbered

# Seconds: RFC 9096 section 3.4, the longest that hosts are told.
PREFERRED_LIMIT = 2700
VALID_LIMIT = 5400
# Modes of an uplink whose mappings say what is free in its delegation.
_KNOWN_MODES = frozenset({"prefix", "networks", "nat66"})
_NETWORK = 64


def free(
    delegated: IPv6Network, taken: Iterable[IPv6Network], number: int, own: Iterable[IPv6Address] = ()
) -> IPv6Network | None:
    """A /64 of a delegated prefix that overlaps none of `taken`: that number (modulo the space), else the next one.

    One that holds an address of `own` only where there is no other. None where all are taken.
    """
    if delegated.prefixlen > _NETWORK:
        return None
    closed = [*taken]
    avoided = [*closed, *(IPv6Network(address) for address in own)]
    return _next(delegated, avoided, number) or _next(delegated, closed, number)


def _next(delegated: IPv6Network, taken: Sequence[IPv6Network], number: int) -> IPv6Network | None:
    space = 1 << _NETWORK - delegated.prefixlen
    start, place = number % space, number % space
    while place < start + space:
        candidate = numbered(delegated, place % space)
        obstacle = next((prefix for prefix in taken if prefix.overlaps(candidate)), None)
        if obstacle is None:
            return candidate
        # A large one is passed in one step.
        last = min(int(obstacle.broadcast_address), int(delegated.broadcast_address))
        place += (last - int(candidate.network_address) >> _NETWORK) + 1
    return None


@dataclass(frozen=True, slots=True)
class Lent:
    """A global /64 of a network that its hosts can use, with the deadlines of the delegation it is of."""

    network: str
    prefix: IPv6Network
    uplink: str
    mark: int
    preferred_until: Deadline
    valid_until: Deadline


@dataclass(frozen=True, slots=True)
class Global6:
    """All global prefixes of the moment. `stale`: withdrawn, but hosts may hold them. `held`: what to remember."""

    lent: tuple[Lent, ...] = ()
    stale: tuple[Held, ...] = ()
    held: tuple[Held, ...] = ()
    problems: tuple[Problem, ...] = ()
    delegations: Mapping[str, tuple[IPv6Network, ...]] = field(default_factory=lambda: MappingProxyType({}))

    def of(self, network: str) -> tuple[Lent, ...]:
        """The usable ones of a network."""
        return tuple(one for one in self.lent if one.network == network)

    def stale_of(self, network: str) -> tuple[IPv6Network, ...]:
        """The withdrawn ones of a network."""
        return tuple(one.prefix for one in self.stale if one.network == network)

    def addresses(self, links: Mapping[str, Link]) -> frozenset[WantedAddress]:
        """The firewall's own in each: ::1. Also where one was withdrawn, else no error reaches its hosts."""
        return frozenset(
            WantedAddress(links[network].index, IPv6Interface((int(prefix.network_address) + 1, _NETWORK)))
            for network, prefix in self._all
            if network in links
        )

    def routes(self) -> frozenset[Route]:
        """Where the network of a prefix has no link, its packets end here: an ingress would send them back."""
        return frozenset(Route(prefix, metric=LAST_METRIC, kind="unreachable") for _, prefix in self._all)

    @property
    def _all(self) -> list[tuple[str, IPv6Network]]:
        lent = [(one.network, one.prefix) for one in self.lent]
        return lent + [(one.network, one.prefix) for one in self.stale]

    @property
    def elements(self) -> tuple[tuple[str, IPv6Network, int], ...]:
        """(network, /64, mark), mark 0 where it was withdrawn."""
        lent = sorted((one.network, one.prefix, one.mark) for one in self.lent)
        return (*lent, *sorted((one.network, one.prefix, 0) for one in self.stale))

    @property
    def deadlines(self) -> tuple[float, ...]:
        """When a withdrawn one can be forgotten."""
        return tuple(one.until for one in self.stale if one.until is not None)


NOTHING = Global6()


def plan_global(  # noqa: PLR0917 - what it depends on
    settings: Settings,
    kinds: Mapping[str, Addressing],
    uses: Iterable[IPv6Network],
    known: Sequence[Held],
    uplinks: Mapping[str, UplinkView],
    now: float,
) -> Global6:
    """Hand out. `kinds`: as `addressing` says; `uses`: as `internal_uses`; `known`: what was remembered."""
    if not kinds and not known:
        return NOTHING
    before = {(one.network, one.prefix): one for one in known if one.until is None or one.until > now}
    names = [name for name in settings.networks_by_priority() if name in kinds]
    lent: list[Lent] = []
    problems: list[Problem] = []
    used = tuple(uses)
    for uplink in uplinks.values():
        takers = [name for name in names if uplink.name in settings.uplinks_of(name)]
        for one, problem in _of_uplink(settings, takers, uplink, tuple(before.values()), used):
            lent += [one] if one is not None else []
            problems += [problem] if problem is not None else []
    usable = {(one.network, one.prefix): Held(one.network, one.prefix, one.uplink) for one in lent}
    gone = {
        key: one if one.until is not None else Held(one.network, one.prefix, one.uplink, now + VALID_LIMIT)
        for key, one in before.items()
        if key not in usable and one.network in settings.networks
    }
    held = {**{key: usable.get(key, gone.get(key)) for key in before}, **usable}
    return Global6(
        tuple(lent),
        tuple(gone.values()),
        tuple(one for one in held.values() if one is not None),
        tuple(problems),
        MappingProxyType({name: tuple(d.prefix for d in uplink.delegations) for name, uplink in uplinks.items()}),
    )


def _of_uplink(
    settings: Settings,
    takers: Sequence[str],
    uplink: UplinkView,
    held: Sequence[Held],
    uses: Sequence[IPv6Network],
) -> Iterator[tuple[Lent | None, Problem | None]]:
    """What each network has of an uplink, and what is wrong where it has nothing though a prefix is delegated."""
    if not uplink.known:
        # We have just begun: what an earlier life handed out stays until its ingress speaks, with no time promised.
        for one in held:
            if one.network in takers and one.uplink == uplink.name and one.until is None:
                yield Lent(one.network, one.prefix, uplink.name, uplink.mark, 0.0, 0.0), None
        return
    blocked = list(mapped(uplink.mappings, uses, whole=uplink.mode6 == "prefix"))
    given: list[IPv6Network] = []
    for name in takers:
        others = [one.prefix for one in held if one.network != name]
        taken = [*blocked, *others, *given]
        mine = [one for one in held if one.network == name]
        found = _kept(mine, uplink.delegations, [*blocked, *given]) or _new(settings, name, uplink, taken)
        if found is None:
            if uplink.delegations and uplink.mode6 in _KNOWN_MODES:
                yield None, _too_small(name, uplink)
            continue
        prefix, delegation = found
        given.append(prefix)
        until = delegation.preferred_until, delegation.valid_until
        yield Lent(name, prefix, uplink.name, uplink.mark, *until), None


def _kept(
    mine: Iterable[Held], delegations: Sequence[Delegation], taken: Sequence[IPv6Network]
) -> tuple[IPv6Network, Delegation] | None:
    """What the network has already of this uplink's delegations; one that is in use before one that was withdrawn."""
    for one in sorted(mine, key=lambda held: held.until is not None):
        within = next((d for d in delegations if one.prefix.subnet_of(d.prefix)), None)
        if within is not None and not any(one.prefix.overlaps(prefix) for prefix in taken):
            return one.prefix, within
    return None


def _new(
    settings: Settings, name: str, uplink: UplinkView, taken: Sequence[IPv6Network]
) -> tuple[IPv6Network, Delegation] | None:
    if uplink.mode6 not in _KNOWN_MODES:
        return None  # its mappings are not known now
    for delegation in uplink.delegations:
        found = free(delegation.prefix, taken, settings.networks[name].subnet or 0, uplink.own6)
        if found is not None:
            return found, delegation
    return None


def _too_small(name: str, uplink: UplinkView) -> Problem:
    prefix = uplink.delegations[0].prefix
    message = f"{name} gets no global prefix through {uplink.name}: {prefix} has no /64 left for it"
    hint = "ask the ISP for a shorter prefix, or change `priority` to choose who gets a /64"
    return Problem(f"network/{name}", message, hint)


def alone(kinds: Mapping[str, Addressing], links: Mapping[str, Link]) -> Mapping[str, str]:
    """Device → network, of those whose hosts have global addresses only."""
    return {links[name].name: name for name, kind in kinds.items() if kind == "global" and name in links}


def seen(
    settings: Settings, kinds: Mapping[str, Addressing], found: Global6, uplinks: dict[str, UplinkView]
) -> dict[str, UplinkView]:
    """The uplinks with what networks have of them: by it they are chosen."""
    if not kinds:
        return uplinks
    inner = {name: prefix for name in kinds if (prefix := settings.network_prefix(name)) is not None}
    only = frozenset(inner[name] for name, kind in kinds.items() if kind == "global" and name in inner)
    lent: dict[str, dict[IPv6Network, IPv6Network]] = {name: {} for name in uplinks}
    for one in found.lent:
        lent[one.uplink][inner[one.network]] = one.prefix
    return {name: replace(uplink, global6=MappingProxyType(lent[name]), only6=only) for name, uplink in uplinks.items()}
