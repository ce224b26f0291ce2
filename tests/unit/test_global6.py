"""Global addressing: what is mapped and what hosts have are disjoint, what was handed out stays, what goes is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from ipaddress import IPv6Address, IPv6Network
from itertools import combinations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agent.config import Settings
from agent.model import Delegation, Held, Route
from agent.plan.addressing import addressing, internal_uses
from agent.plan.firewall_uplinks import UplinkView
from agent.plan.global6 import VALID_LIMIT, Global6, free, plan_global, seen
from agent.plan.ipv6_mode import Ladder, Wish, climb
from agent.plan.networks import LAST_METRIC
from agent.plan.npt import Addressing, mapped, served
from tests.unit.config.kit import settings as settings_of

SITE = IPv6Network("fd00:1:2::/48")
KINDS: tuple[Addressing, ...] = ("internal", "global", "both")
NOW = 100.0


@lru_cache(maxsize=512)
def configured(networks: tuple[tuple[int, Addressing], ...]) -> Settings:
    """Networks by number, in the order of their priority, and two uplinks."""
    lines = [
        f"  n{number:x}: {{ subnet: {number}, addressing: {kind}, priority: {place} }}"
        for place, (number, kind) in enumerate(networks)
    ]
    return settings_of(
        site=f"site: {{ name: test, prefix: '{SITE}' }}",
        networks="\n".join(("networks:", "  dmz: { subnet: 0x99, transit: true }", *lines)),
        uplinks="uplinks: { a: { kind: dhcp, priority: 1 }, b: { kind: dhcp, priority: 2 } }",
        hosts="",
    )


def view(ladder: Ladder, name: str = "a", mark: int = 1) -> UplinkView:
    """What the firewall learns of such an ingress."""
    own = (*ladder.own, *((ladder.nat66,) if ladder.nat66 else ()))
    delegations = (ladder.delegation,) if ladder.delegation else ()
    return UplinkView(
        name,
        mark,
        known=True,
        mode6=ladder.mode,
        mappings=ladder.mappings,
        nat66=ladder.nat66 is not None,
        delegations=delegations,
        own6=own,
    )


def hand_out(settings: Settings, uplinks: Mapping[str, UplinkView], held: tuple[Held, ...], now: float) -> Global6:
    return plan_global(settings, addressing(settings), internal_uses(settings), held, uplinks, now)


def wish(settings: Settings) -> Wish:
    networks = tuple(
        (name, prefix) for name in settings.networks_by_priority() if (prefix := settings.network_prefix(name))
    )
    return Wish(SITE, networks, addressing=addressing(settings), uses=internal_uses(settings))


prefixes = st.builds(
    lambda bits, length: IPv6Network(((0x2 << 124 | bits) >> (128 - length) << (128 - length), length)),
    st.integers(0, (1 << 124) - 1),
    st.one_of(st.integers(44, 50), st.integers(56, 64)),
)
plans = st.lists(
    st.tuples(st.integers(0, 0xFFFF).filter(lambda number: number != 0x99), st.sampled_from(KINDS)),
    unique_by=lambda network: network[0],
    max_size=6,
).map(tuple)


@given(plans, prefixes, st.lists(prefixes, max_size=2))
@example(((0, "internal"), (2, "internal"), (1, "global")), IPv6Network("2000::/44"), [IPv6Network("2000::/63")]).via(
    "a smaller delegation that holds what was handed out"
)
def test_mapped_and_routed_are_disjoint_and_both_sides_agree(
    networks: tuple[tuple[int, Addressing], ...], first: IPv6Network, later: list[IPv6Network]
) -> None:
    """Ingress and firewall, each looking at what the other says, until nothing changes; then the prefix changes."""
    settings = configured(networks)
    held: tuple[Held, ...] = ()
    told: tuple[IPv6Network, ...] = ()
    ids: dict[str, int] = {}
    for delegated in (first, *later):
        for _ in range(4):
            ladder = climb(wish(settings), (Delegation(delegated),), (), ids, NOW, told)
            found = hand_out(settings, {"a": view(ladder)}, held, NOW)
            ids |= ladder.ids
            held = found.held
            told = tuple(one.prefix for one in found.lent)
        again = climb(wish(settings), (Delegation(delegated),), (), ids, NOW, told)
        assert again.mappings == ladder.mappings
        assert set(again.lent) == set(told), "the ingress takes all that the firewall hands out"
        used = mapped(again.mappings, internal_uses(settings), whole=again.mode == "prefix")
        for one, other in combinations((*used, *told), 2):
            assert not one.overlaps(other) or {one, other} <= set(used)
        assert all(prefix.subnet_of(delegated) for prefix in told)
        assert not any(prefix.overlaps(SITE) for prefix in told)
        for prefix in again.closed:
            assert not any(prefix.overlaps(use) for use in internal_uses(settings)), "nobody is closed out"
        space = 1 << 64 - delegated.prefixlen
        wanted, kept = served(settings.networks_by_priority(), space, addressing(settings))
        if again.mode != "prefix":
            # What hosts have already stays where it fits, whoever comes before.
            assert {one.network for one in found.lent} == set(kept) or delegated is not first
            assert set(again.ids) == set(wanted)


def test_a_single_64_is_either_mapped_or_handed_out() -> None:
    kinds: dict[str, Addressing] = {"b": "both", "g": "global"}
    assert served(["b", "i"], 1, kinds) == (frozenset(), ("b",))
    assert served(["i", "b"], 1, kinds) == (frozenset({"i"}), ())
    assert served(["b", "i"], 2, kinds) == (frozenset({"i"}), ("b",))
    assert served(["b", "g", "i"], 4, kinds) == (frozenset({"i", "b"}), ("b", "g"))


@pytest.mark.parametrize(
    ("delegated", "taken", "number", "expected"),
    [
        ("2001:db8::/48", [], 0x10, "2001:db8:0:10::/64"),
        ("2001:db8::/48", ["2001:db8:0:10::/64"], 0x10, "2001:db8:0:11::/64"),
        ("2001:db8::/48", ["2001:db8:0:10::/60"], 0x12, "2001:db8:0:20::/64"),
        ("2001:db8::/48", ["2001:db8:0:8000::/49"], 0xFFFF, "2001:db8::/64"),
        ("2001:db8::/60", [], 0x15, "2001:db8:0:5::/64"),
        ("2001:db8::/64", ["2001:db8::1:0/112"], 7, None),
        ("2001:db8::/63", ["2001:db8::/62"], 0, None),
        ("2001:db8::/80", [], 0, None),
    ],
)
def test_the_next_free_64(delegated: str, taken: list[str], number: int, expected: str | None) -> None:
    found = free(IPv6Network(delegated), map(IPv6Network, taken), number)
    assert found == (None if expected is None else IPv6Network(expected))


def test_the_uplinks_own_64_is_taken_last() -> None:
    own = [IPv6Address("2001:db8::7")]
    assert free(IPv6Network("2001:db8::/63"), (), 0, own) == IPv6Network("2001:db8:0:1::/64")
    assert free(IPv6Network("2001:db8::/64"), (), 0, own) == IPv6Network("2001:db8::/64")


NETWORKS: tuple[tuple[int, Addressing], ...] = ((0x10, "both"), (0x20, "global"), (0x30, "internal"))


def ladder(delegated: str) -> Ladder:
    found = (Delegation(IPv6Network(delegated), NOW + 1000, NOW + 3000),)
    return climb(wish(configured(NETWORKS)), found, (), {}, NOW)


def lent(found: Global6) -> dict[tuple[str, str], str]:
    return {(one.network, one.uplink): str(one.prefix) for one in found.lent}


def test_on_every_uplink_that_has_a_prefix() -> None:
    uplinks = {"a": view(ladder("2001:db8:a::/48")), "b": view(ladder("2001:db8:b:ff00::/56"), "b", 2)}
    found = hand_out(configured(NETWORKS), uplinks, (), NOW)
    assert lent(found) == {
        ("n10", "a"): "2001:db8:a:11::/64",  # 10 is the internal network's
        ("n20", "a"): "2001:db8:a:20::/64",
        ("n10", "b"): "2001:db8:b:ff11::/64",
        ("n20", "b"): "2001:db8:b:ff20::/64",
    }
    assert {one.uplink for one in found.of("n10")} == {"a", "b"}
    assert (found.stale, found.problems, found.of("n30")) == ((), (), ())
    assert found.routes() == {Route(one.prefix, metric=LAST_METRIC, kind="unreachable") for one in found.lent}


def test_what_is_withdrawn_is_known_for_as_long_as_a_host_may_hold_it() -> None:
    settings, old, new = configured(NETWORKS), {"a": view(ladder("2001:db8:a::/48"))}, ladder("2001:db8:c::/48")
    before = hand_out(settings, old, (), NOW)
    found = hand_out(settings, {"a": view(new)}, before.held, NOW + 10)
    assert {str(one.prefix) for one in found.lent} == {"2001:db8:c:11::/64", "2001:db8:c:20::/64"}
    assert {str(one.prefix) for one in found.stale} == {"2001:db8:a:11::/64", "2001:db8:a:20::/64"}
    assert found.deadlines == (NOW + 10 + VALID_LIMIT,) * 2
    later = hand_out(settings, {"a": view(new)}, found.held, NOW + VALID_LIMIT)
    assert later == found, "a moment is kept, not made anew"
    assert hand_out(settings, {"a": view(new)}, found.held, NOW + 10 + VALID_LIMIT).stale == ()


def test_a_prefix_that_comes_back_is_the_same_again() -> None:
    settings, there = configured(NETWORKS), {"a": view(ladder("2001:db8:a::/48"))}
    before = hand_out(settings, there, (), NOW)
    gone = hand_out(settings, {"a": replace(there["a"], delegations=(), mode6="none")}, before.held, NOW)
    assert (gone.lent, len(gone.stale)) == ((), 2)
    assert hand_out(settings, there, gone.held, NOW + 5) == before


def test_a_network_that_has_no_global_addresses_any_more_gives_them_up() -> None:
    there = {"a": view(ladder("2001:db8:a::/48"))}
    before = hand_out(configured(NETWORKS), there, (), NOW)
    other: tuple[tuple[int, Addressing], ...] = ((0x10, "internal"), (0x20, "global"))
    found = hand_out(configured(other), there, before.held, NOW)
    assert [one.network for one in found.lent] == ["n20"]
    assert [one.network for one in found.stale] == ["n10"]


def test_what_an_earlier_life_handed_out_stays_until_its_ingress_speaks() -> None:
    settings, there = configured(NETWORKS), {"a": view(ladder("2001:db8:a::/48"))}
    before = hand_out(settings, there, (), NOW)
    silent = hand_out(settings, {"a": UplinkView("a", 1)}, before.held, NOW)
    assert (silent.stale, silent.held) == ((), before.held)
    assert {one.valid_until for one in silent.lent} == {0.0}, "no time is promised"
    nothing = hand_out(settings, {"a": UplinkView("a", 1, known=True)}, before.held, NOW)
    assert (nothing.lent, len(nothing.stale)) == ((), 2)


def test_what_another_network_holds_is_not_given_away() -> None:
    there = {"a": view(ladder("2001:db8:a::/48"))}
    held = (Held("n10", IPv6Network("2001:db8:a:20::/64"), "a", NOW + 50),)
    found = hand_out(configured(NETWORKS), there, held, NOW)
    assert lent(found) == {("n10", "a"): "2001:db8:a:20::/64", ("n20", "a"): "2001:db8:a:21::/64"}


def test_what_is_too_small_is_said() -> None:
    found = hand_out(configured(NETWORKS), {"a": view(ladder("2001:db8:a::/64"))}, (), NOW)
    assert lent(found) == {("n10", "a"): "2001:db8:a::/64"}
    assert [problem.part for problem in found.problems] == ["network/n20"]


def test_an_uplink_serves_a_network_with_global_addresses_only_by_a_prefix() -> None:
    settings = configured(NETWORKS)
    small = view(ladder("2001:db8:a::/64"))
    found = hand_out(settings, {"a": small}, (), NOW)
    uplink = seen(settings, addressing(settings), found, {"a": small})["a"]
    only, both, internal = (settings.network_prefix(name) for name in ("n20", "n10", "n30"))
    assert uplink.refuses(6, only) == "no global prefix for this network"
    assert not uplink.refuses(6, both)
    assert uplink.refuses(4, only) == ""
    assert both is not None
    assert uplink.maps(both)
    assert internal is not None
    assert not uplink.maps(internal)


def test_networks_with_internal_addresses_are_as_before() -> None:
    settings = configured(((0x10, "internal"),))
    assert hand_out(settings, {"a": view(ladder("2001:db8:a::/48"))}, (), NOW) == Global6()
