"""The prefix plan: which internal prefix is which external one (RFC 6296), stateless and 1:1."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv6Address, IPv6Network
from types import MappingProxyType
from typing import Literal, TypeAlias

from agent.model import PrefixMapping

Addressing: TypeAlias = Literal["internal", "global", "both"]
_ALL_INTERNAL: Mapping[str, Addressing] = MappingProxyType({})

_NETWORK = 64
_HOST_BITS = 64
# The low bits of an address of our own inside a delegated /64: no host picks them (SLAAC sets or randomises 64 bits).
OWN_SUFFIX = 0xFFFF_0000_0000_0001


@dataclass(frozen=True, slots=True)
class Npt:
    """The plan for one delegated prefix.

    `ids`: network → number of its external /64 within the delegation, for the networks that have one. `own`: an
    address of the delegation for the ingress itself, excluded from translation. `complete`: every internal address
    is mapped. `kept`: networks for which a /64 is left to be handed out to their hosts (`agent.plan.global6`).
    """

    mappings: tuple[PrefixMapping, ...]
    ids: Mapping[str, int]
    own: IPv6Address
    complete: bool
    kept: tuple[str, ...] = ()


def plan_npt(  # noqa: PLR0917 - what a plan depends on
    site: IPv6Network,
    networks: Sequence[tuple[str, IPv6Network]],
    delegated: IPv6Network,
    remembered: Mapping[str, int],
    addressing: Mapping[str, Addressing] = _ALL_INTERNAL,
    lent: Collection[IPv6Network] = (),
) -> Npt:
    """Map the internal plan to a delegated prefix.

    `networks`: those that take a /64 with their internal one, first served first. A delegation at least as short as
    `site` maps the whole plan at equal length, by its first sub-prefix of that length. A longer one gives the first
    networks a /64 each; the rest is not mapped. One longer than 64 maps nothing. `addressing`: of the networks that
    are not `internal`. `lent`: /64s of the delegation that hosts have now.
    """
    if delegated.prefixlen <= site.prefixlen:
        external = IPv6Network((delegated.network_address, site.prefixlen))
        taken = {int(internal.network_address) - int(site.network_address) >> _HOST_BITS for _, internal in networks}
        taken |= {_id(prefix) - _id(delegated) for prefix in lent if prefix.subnet_of(delegated)}
        # Beyond the mapped sub-prefix where there is such a place: then no internal address is lost to `own`.
        inside = external if delegated == external else delegated
        own = _own(inside, taken if delegated == external else set())
        kept = tuple(name for name, _ in networks if addressing.get(name, "internal") != "internal")
        return Npt((PrefixMapping(site, external),), {}, own, complete=True, kept=kept)
    if delegated.prefixlen > _NETWORK:
        return Npt((), {}, delegated.network_address + 1, complete=False)
    bits = _NETWORK - delegated.prefixlen
    mapped, kept = served([name for name, _ in networks], 1 << bits, addressing)
    wanted = [(name, _id(internal)) for name, internal in networks if name in mapped]
    busy = {_id(prefix) - _id(delegated) for prefix in lent if prefix.subnet_of(delegated)}
    ids = assign(wanted, bits, remembered, busy)
    mappings = tuple(
        PrefixMapping(internal, numbered(delegated, ids[name])) for name, internal in networks if name in ids
    )
    return Npt(mappings, ids, _own(delegated, {*ids.values(), *busy}), complete=False, kept=kept)


def served(
    names: Sequence[str], space: int, addressing: Mapping[str, Addressing]
) -> tuple[frozenset[str], tuple[str, ...]]:
    """Who gets a /64 of a space of so many: the networks that are mapped, and those for which one is left to hand out.

    Each its first one in the order given: a global one where its hosts have global addresses. What is left then maps
    the internal addresses of the networks that have both.
    """
    first = names[:space]
    kept = tuple(name for name in first if addressing.get(name, "internal") != "internal")
    both = [name for name in kept if addressing[name] == "both"]
    mapped = [name for name in first if name not in kept] + both[: space - len(first)]
    return frozenset(mapped), kept


def assign(
    networks: Sequence[tuple[str, int]], bits: int, remembered: Mapping[str, int], busy: Collection[int] = ()
) -> dict[str, int]:
    """External ids for (name, internal id), first served first, in a space of 2^bits.

    As many networks as there is room for get one, in the order given. A remembered id that fits stays; else the
    internal id modulo the space when it is free, else the next free one. One of `busy` is taken where no other is left.
    """
    space = 1 << bits
    first = networks[:space]
    ids: dict[str, int] = {}
    for name, _ in first:
        known = remembered.get(name)
        if known is not None and 0 <= known < space and known not in ids.values():
            ids[name] = known
    for name, internal in first:
        if name not in ids:
            for taken in ({*ids.values(), *busy}, set(ids.values())):
                free = next((i % space for i in range(internal, internal + space) if i % space not in taken), None)
                if free is not None:
                    ids[name] = free
                    break
    return ids


def outside(mappings: Iterable[PrefixMapping], address: IPv6Address) -> IPv6Address | None:
    """The external address of an internal one, None where nothing maps it."""
    return next((_moved(address, m.internal, m.external) for m in mappings if address in m.internal), None)


def inside(mappings: Iterable[PrefixMapping], address: IPv6Address) -> IPv6Address | None:
    """The internal address of an external one, None where nothing maps it."""
    return next((_moved(address, m.external, m.internal) for m in mappings if address in m.external), None)


def numbered(prefix: IPv6Network, number: int) -> IPv6Network:
    """The /64 of that number within a prefix."""
    return IPv6Network((int(prefix.network_address) | number << _HOST_BITS, _NETWORK))


def moved(prefix: IPv6Network, mapping: PrefixMapping) -> IPv6Network | None:
    """What a part of a mapping's internal prefix is outside; None where it is no part of it."""
    if not prefix.subnet_of(mapping.internal):
        return None
    return IPv6Network((_moved(prefix.network_address, mapping.internal, mapping.external), prefix.prefixlen))


def mapped(mappings: Iterable[PrefixMapping], uses: Iterable[IPv6Network], *, whole: bool) -> tuple[IPv6Network, ...]:
    """What translation uses outside. Where the `whole` plan is mapped: the images of its parts that are in use."""
    if not whole:
        return tuple(mapping.external for mapping in mappings)
    used = tuple(uses)
    images = (moved(prefix, mapping) for mapping in mappings for prefix in used)
    return tuple(image for image in images if image is not None)


def _moved(address: IPv6Address, old: IPv6Network, new: IPv6Network) -> IPv6Address:
    return IPv6Address(int(address) - int(old.network_address) + int(new.network_address))


def _id(network: IPv6Network) -> int:
    return int(network.network_address) >> _HOST_BITS


def _own(prefix: IPv6Network, taken: set[int]) -> IPv6Address:
    """An address in the highest /64 that no network has; in the highest of all where every one is taken."""
    last = (1 << _NETWORK - prefix.prefixlen) - 1
    free = next((i for i in range(last, max(last - len(taken) - 1, -1), -1) if i not in taken), last)
    return IPv6Address(int(prefix.network_address) | free << _HOST_BITS | OWN_SUFFIX)
