"""The prefix plan: every internal address has one external address and back, assignments stay where they are."""

from __future__ import annotations

from ipaddress import IPv6Address, IPv6Network
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.model import PrefixMapping
from agent.plan.npt import Npt, assign, inside, outside, plan_npt

SITE = IPv6Network("fd00:1:2::/48")
HOME, GUEST, IOT = (IPv6Network(f"fd00:1:2:{number}::/64") for number in ("10", "20", "30"))
NETWORKS = (("home", HOME), ("guest", GUEST), ("iot", IOT))

prefixes = st.builds(
    lambda bits, length: IPv6Network(((0x2 << 124 | bits) >> (128 - length) << (128 - length), length)),
    st.integers(0, (1 << 124) - 1),
    st.integers(29, 64),
)
networks = st.lists(st.integers(0, 0xFFFF), unique=True, max_size=12).map(
    lambda ids: tuple((f"n{number:x}", IPv6Network((int(SITE[0]) | number << 64, 64))) for number in ids)
)
memories = st.dictionaries(st.integers(0, 0xFFFF).map(lambda number: f"n{number:x}"), st.integers(-1, 0x1FFFF))


@pytest.mark.rfc("6296", "mapping")
@given(prefixes, networks, memories, st.integers(0, (1 << 80) - 1))
def test_in_of_out_is_the_same_and_mappings_are_disjoint(
    delegated: IPv6Network, wanted: tuple[tuple[str, IPv6Network], ...], memory: dict[str, int], host: int
) -> None:
    npt = plan_npt(SITE, wanted, delegated, memory)
    for one, other in combinations(npt.mappings, 2):
        assert not one.internal.overlaps(other.internal)
        assert not one.external.overlaps(other.external)
    for mapping in npt.mappings:
        assert mapping.internal.prefixlen == mapping.external.prefixlen
        assert mapping.external.subnet_of(delegated)
        address = IPv6Address(int(mapping.internal[0]) | host & int(mapping.internal.hostmask))
        external = outside(npt.mappings, address)
        assert external is not None
        assert external in delegated
        assert inside(npt.mappings, external) == address
        assert int(external) & int(mapping.external.hostmask) == int(address) & int(mapping.internal.hostmask)
    assert npt.own in delegated
    assert npt.complete == (delegated.prefixlen <= SITE.prefixlen)


@given(prefixes, networks, memories, networks)
def test_what_was_assigned_stays_while_it_fits(
    delegated: IPv6Network,
    first: tuple[tuple[str, IPv6Network], ...],
    memory: dict[str, int],
    more: tuple[tuple[str, IPv6Network], ...],
) -> None:
    """Networks that come later, of lower priority, move nobody; nor does planning again."""
    before = plan_npt(SITE, first, delegated, memory)
    later = (*first, *(one for one in more if one[0] not in dict(first)))
    after = plan_npt(SITE, later, delegated, {**memory, **before.ids})
    assert {name: after.ids[name] for name in before.ids} == before.ids
    assert len(set(after.ids.values())) == len(after.ids)
    assert plan_npt(SITE, later, delegated, {**memory, **before.ids, **after.ids}) == after


def mapped(npt: Npt) -> dict[str, str]:
    return {str(mapping.internal): str(mapping.external) for mapping in npt.mappings}


@pytest.mark.parametrize("delegated", ["2001:db8:a100::/48", "2001:db8:a100::/40"])
def test_a_delegation_as_short_as_the_plan_maps_all_of_it(delegated: str) -> None:
    npt = plan_npt(SITE, NETWORKS, IPv6Network(delegated), {})
    assert mapped(npt) == {"fd00:1:2::/48": "2001:db8:a100::/48"}
    assert npt.complete
    assert not npt.ids


def test_a_longer_one_gives_each_network_its_own_number_where_it_is_free() -> None:
    npt = plan_npt(SITE, NETWORKS, IPv6Network("2001:db8:a100:ab00::/56"), {})
    assert mapped(npt) == {
        "fd00:1:2:10::/64": "2001:db8:a100:ab10::/64",
        "fd00:1:2:20::/64": "2001:db8:a100:ab20::/64",
        "fd00:1:2:30::/64": "2001:db8:a100:ab30::/64",
    }


def test_numbers_wrap_to_the_next_free_one_and_the_last_get_none() -> None:
    npt = plan_npt(SITE, NETWORKS, IPv6Network("2001:db8:a100:8::/63"), {})
    assert mapped(npt) == {"fd00:1:2:10::/64": "2001:db8:a100:8::/64", "fd00:1:2:20::/64": "2001:db8:a100:9::/64"}
    assert assign([("a", 3), ("b", 7), ("c", 2)], 2, {}) == {"a": 3, "b": 0, "c": 2}


def test_a_remembered_number_is_kept_when_it_fits() -> None:
    assert assign([("a", 1), ("b", 2)], 4, {"b": 1}) == {"b": 1, "a": 2}
    assert assign([("a", 1), ("b", 2)], 4, {"b": 16, "a": -1}) == {"a": 1, "b": 2}
    assert assign([("a", 1), ("b", 2)], 4, {"a": 5, "b": 5}) == {"a": 5, "b": 2}


def test_its_own_address_lies_where_no_network_is() -> None:
    inside_all = plan_npt(SITE, NETWORKS, IPv6Network("2001:db8:a100::/48"), {})
    assert str(inside_all.own) == "2001:db8:a100:ffff:ffff::1"
    last = IPv6Network("fd00:1:2:ffff::/64")
    taken = plan_npt(SITE, (*NETWORKS, ("last", last)), IPv6Network("2001:db8:a100::/48"), {})
    assert str(taken.own) == "2001:db8:a100:fffe:ffff::1"
    beyond = plan_npt(SITE, NETWORKS, IPv6Network("2001:db8:a000::/36"), {})
    assert inside(beyond.mappings, beyond.own) is None
    single = plan_npt(SITE, NETWORKS, IPv6Network("2001:db8:a100:7::/64"), {})
    assert str(single.own) == "2001:db8:a100:7:ffff::1"


def test_one_longer_than_64_maps_nothing() -> None:
    npt = plan_npt(SITE, NETWORKS, IPv6Network("2001:db8:a100:7:1::/80"), {})
    assert not npt.mappings
    assert npt.own in IPv6Network("2001:db8:a100:7:1::/80")


def test_what_nothing_maps_has_no_other_side() -> None:
    mapping = PrefixMapping(HOME, IPv6Network("2001:db8::/64"))
    assert outside([mapping], GUEST[1]) is None
    assert inside([mapping], GUEST[1]) is None
