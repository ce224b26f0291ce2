from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv6Network
from itertools import permutations
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.config.preference import Preference, groups
from agent.model import Family, Memory, PrefixMapping
from agent.plan.choice import NOTHING, choices, choose, orders
from agent.plan.firewall_uplinks import UplinkView
from agent.plan.standing import FAMILIES, Outlook
from tests.golden.firewall_cases import HOME, settings

PREFIX = IPv6Network("fd00:0:0:10::/64")
NAMES = ("a", "b", "c", "d")
reason = st.sampled_from(["", "", "no carrier", "probes fail"])
bad = st.sampled_from(["", "", "12 % loss"])
views = st.builds(
    UplinkView,
    st.just("x"),
    st.integers(1, 250),
    known=st.just(True),
    down4=reason,
    down6=reason,
    degraded4=bad,
    degraded6=bad,
    nat66=st.booleans(),
).map(lambda view: replace(view, unreachable4=view.down4, unreachable6=view.down6))
uplinks = st.dictionaries(st.sampled_from(NAMES), views)
families: st.SearchStrategy[Family] = st.sampled_from([4, 6])
names = st.sampled_from(NAMES)
outlooks = st.builds(
    Outlook,
    held=st.dictionaries(st.tuples(names, families), st.just("failed once lately")).map(MappingProxyType),
    away=st.frozensets(st.tuples(names, families)),
    drained=st.frozensets(names),
    preferred=st.none() | names,
    metered=st.frozensets(names),
)


def places(*order: str | tuple[str, int]) -> tuple[tuple[Preference, ...], ...]:
    return groups(Preference(entry) if isinstance(entry, str) else Preference(*entry) for entry in order)


@given(st.permutations(NAMES), uplinks, families)
def test_the_choice_is_the_first_usable_of_the_order(
    order: list[str], found: dict[str, UplinkView], family: Family
) -> None:
    found = {name: replace(view, degraded4="", degraded6="") for name, view in found.items()}
    choice = choose(places(*order), found, family, PREFIX)
    usable = [name for name in order if name in found and not found[name].down(family)]
    assert choice.uplink == (usable[0] if usable else None)
    passed_over = order[: order.index(choice.uplink)] if choice.uplink else order
    assert all(f"{name}: " in choice.why for name in passed_over)


@given(st.permutations(NAMES), uplinks, families, outlooks, st.lists(names, max_size=2), st.booleans())
def test_never_one_that_is_down_and_always_one_that_is_not(  # noqa: PLR0917
    order: list[str],
    found: dict[str, UplinkView],
    family: Family,
    out: Outlook,
    used: list[str],
    manual: bool,
) -> None:
    choice = choose(places(*order), found, family, PREFIX, out, tuple(used), manual=manual)
    usable = {name for name in order if name in found and not found[name].refuses(family, PREFIX)}
    assert (choice.uplink in usable) if usable else choice.uplink is None
    assert {name for name, _ in choice.considered} == set(order)
    assert {name for name, _ in choice.shares} <= usable


@given(st.permutations(NAMES), uplinks, families, outlooks)
def test_what_speaks_against_an_uplink_ranks_it_behind_all_others(
    order: list[str], found: dict[str, UplinkView], family: Family, out: Outlook
) -> None:
    def faults(name: str) -> tuple[bool, ...]:
        metered = name in out.metered and name != out.preferred
        return (name in out.drained, bool(found[name].degraded(family)), (name, family) in out.held, metered)

    choice = choose(places(*order), found, family, PREFIX, out)
    usable = [name for name in order if name in found and not found[name].refuses(family, PREFIX)]
    if choice.uplink is not None:
        assert faults(choice.uplink) == min(faults(name) for name in usable)


@given(st.permutations(NAMES), uplinks, families, outlooks)
def test_an_unusable_uplink_never_changes_the_choice(
    order: list[str], found: dict[str, UplinkView], family: Family, out: Outlook
) -> None:
    usable = {name: uplink for name, uplink in found.items() if not uplink.down(family)}
    kept = choose(places(*order), usable, family, PREFIX, out).uplink
    assert choose(places(*order), found, family, PREFIX, out).uplink == kept


@given(uplinks, families, outlooks)
def test_the_order_in_which_uplinks_became_known_is_nothing(
    found: dict[str, UplinkView], family: Family, out: Outlook
) -> None:
    first = choose(places(*NAMES), found, family, PREFIX, out)
    for order in permutations(found):
        assert choose(places(*NAMES), {name: found[name] for name in order}, family, PREFIX, out) == first


@pytest.mark.parametrize(
    ("mapped", "nat66", "usable"),
    [
        ((PREFIX,), False, True),
        ((), True, True),
        ((), False, False),
        ((IPv6Network("fd00:0:0:20::/64"),), False, False),
    ],
)
def test_a_network_without_a_mapping_needs_nat66(mapped: tuple[IPv6Network, ...], nat66: bool, usable: bool) -> None:
    mappings = tuple(PrefixMapping(internal, IPv6Network("2001:db8::/64")) for internal in mapped)
    uplink = UplinkView("a", 1, mode6="networks", mappings=mappings, nat66=nat66)
    choice = choose(places("a"), {"a": uplink}, 6, PREFIX)
    assert choice.uplink == ("a" if usable else None)
    assert usable or "no mapping" in choice.why


def both(**facts: str) -> dict[str, UplinkView]:
    """Uplinks a and b, known; `a_down4="…"` and the like."""
    found = {name: UplinkView(name, mark, known=True) for mark, name in enumerate(("a", "b"), 1)}
    for word, value in facts.items():
        name, _, field = word.partition("_")
        found[name] = replace(found[name], **{field: value})  # type: ignore[arg-type]
        found[name] = replace(found[name], unreachable4=found[name].down4, unreachable6=found[name].down6)
    return found


@given(st.permutations(NAMES), uplinks, families, st.lists(names, max_size=2))
def test_where_no_probe_is_answered_what_is_in_use_stays_else_the_first(
    order: list[str], found: dict[str, UplinkView], family: Family, used: list[str]
) -> None:
    doubted = {name: replace(view, down4="probes fail", down6="probes fail") for name, view in found.items()}
    there = [name for name in order if name in doubted and not doubted[name].refuses(family, PREFIX, probed=False)]
    choice = choose(places(*order), doubted, family, PREFIX, NOTHING, tuple(used))
    assert choice.uplink == next((name for name in there if name in used), there[0] if there else None)
    assert not choice.shares


def test_weights_share_while_more_than_one_is_well() -> None:
    order = places(("a", 3), ("b", 1), "c")
    found = both() | {"c": UplinkView("c", 3)}
    choice = choose(order, found, 4, None)
    assert (choice.uplink, choice.shares, choice.why) == ("a", (("a", 3), ("b", 1)), "best")
    choice = choose(order, found, 4, None, Outlook(drained=frozenset({"a"})))
    assert (choice.uplink, choice.shares) == ("b", ())
    choice = choose(order, {"c": found["c"]}, 4, None)
    assert (choice.uplink, choice.shares) == ("c", ())


def test_why_says_what_speaks_against_the_better_ones_and_against_the_last_resort() -> None:
    found = both(a_degraded4="12 % loss")
    assert choose(places("a", "b"), found, 4, None).why == "a: 12 % loss"
    only = choose(places("a"), found, 4, None)
    assert (only.uplink, only.why) == ("a", "none is better than a: 12 % loss")
    wished = choose(places("a", "b"), both(), 4, None, Outlook(preferred="b"))
    assert (wished.uplink, wished.why) == ("b", "a: b is preferred by hand")


def test_a_network_uses_its_own_uplinks_in_its_own_order() -> None:
    every = {name: UplinkView(name, mark) for mark, name in enumerate(("kpn", "odido", "vpn"), 1)}

    def found(uplinks: dict[str, UplinkView]) -> dict[str, dict[Family, str | None]]:
        result, _ = choices(orders(settings(HOME)), uplinks, Memory(), Outlook(), 0)
        return {choice.network: {4: choice.ipv4.uplink, 6: choice.ipv6.uplink} for choice in result}

    first = {"home": "kpn", "guest": "odido", "iot": "kpn", "management": "kpn", "dmz": "kpn"}
    assert found(every) == {name: dict.fromkeys(FAMILIES, uplink) for name, uplink in first.items()}
    only_vpn = found({"vpn": every["vpn"]})
    assert only_vpn["iot"][6] == "vpn"
    assert only_vpn["home"][6] is None  # its `uplinks` is exhaustive
    assert only_vpn["dmz"][4] is None  # a tunnel never carries its own outer packets
