"""How uplinks fare over time: hold-down, failback by hand, drained ones; stories of plans that remember the last."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv6Network

from hypothesis import given
from hypothesis import strategies as st

from agent.model import FamilyChoice, Memory, Selection, Wish
from agent.plan.choice import Order, choices
from agent.plan.standing import FORGIVEN_AFTER, hold, outlook, standings
from tests.unit.test_choice import both, places

PREFIX = IPv6Network("fd00:0:0:10::/64")
BASE = 2.0


class Story:
    """Plans one after the other, each remembering what the last one kept."""

    def __init__(self, *, manual: bool = False) -> None:
        order = Order(0, places("a", "b"), frozenset("ab"), (), (PREFIX,), manual, hard=False, limit=None)
        self.orders = {"home": order}
        self.memory = Memory()

    def plan(self, now: float, **facts: str) -> FamilyChoice:
        found = both(**facts)
        fares = standings(self.memory, found, now)
        out = outlook(fares, self.memory.wishes, frozenset(), BASE, now)
        (choice,), selections = choices(self.orders, found, self.memory, out, now)
        self.memory = replace(self.memory, standings=fares, selections=selections)
        return choice.ipv6

    def wish(self, kind: str, now: float) -> None:
        self.memory = replace(self.memory, wishes={"a": Wish(kind, now)})  # type: ignore[arg-type]


def test_a_returned_uplink_is_held_down_longer_after_each_failure() -> None:
    story = Story()
    assert story.plan(0).uplink == "a"
    now = 10.0
    for seconds in (2, 4, 8, 16):
        assert story.plan(now, a_down6="no carrier").uplink == "b"
        back = now + 1
        choice = story.plan(back)
        assert choice.uplink == "b"
        assert f"must be well for {seconds} s" in choice.why
        assert story.plan(back + seconds - 0.01).uplink == "b"
        choice = story.plan(back + seconds)
        assert (choice.uplink, choice.since) == ("a", back + seconds)
        now = back + seconds + 1
    story.plan(now + FORGIVEN_AFTER)
    assert story.memory.standings["a/6"].flaps == 0


def test_of_two_that_failed_the_one_in_use_stays() -> None:
    story = Story()
    story.plan(0)
    story.plan(1, a_down6="x", b_down6="x")
    assert story.plan(2, a_down6="x").uplink == "b"
    assert story.plan(3).uplink == "b"
    assert story.plan(5).uplink == "a"


def test_a_held_uplink_is_used_where_it_is_the_only_one() -> None:
    story = Story()
    story.plan(0)
    story.plan(1, a_down6="x")
    assert story.plan(2, b_down6="x").uplink == "a"


def test_an_uplink_that_comes_up_for_the_first_time_is_not_held() -> None:
    story = Story()
    assert story.plan(0, a_down6="no IPv6").uplink == "b"
    assert story.plan(1).uplink == "a"


def test_manual_failback_waits_for_a_person() -> None:
    story = Story(manual=True)
    story.plan(0)
    story.plan(1, a_down6="x")
    choice = story.plan(2 * FORGIVEN_AFTER)
    assert choice.uplink == "b"
    choice = story.plan(4 * FORGIVEN_AFTER)
    assert choice.uplink == "b"
    assert "routerctl uplink a enable" in choice.why
    story.wish("enable", 4 * FORGIVEN_AFTER + 1)
    assert story.plan(4 * FORGIVEN_AFTER + 1).uplink == "a"


def test_manual_failback_moves_when_what_is_in_use_fails() -> None:
    story = Story(manual=True)
    story.plan(0)
    story.plan(1, a_down6="x")
    story.plan(2)
    assert story.plan(3, b_down6="x").uplink == "a"
    assert story.plan(4).uplink == "a"


def test_drained_by_hand_until_enabled() -> None:
    story = Story()
    story.plan(0)
    story.wish("drain", 1)
    choice = story.plan(1)
    assert (choice.uplink, choice.why) == ("b", "a: drained by hand")
    assert story.memory.selections["home/6"] == Selection(("b",), 1, ("a",))
    assert story.plan(2, b_down6="x").uplink == "a", "the last resort"
    story.wish("enable", 3)
    assert story.plan(3).uplink == "a"


moments = st.lists(st.tuples(st.floats(0.01, 30), st.booleans(), st.booleans()), max_size=40)


@given(moments)
def test_a_network_never_moves_to_an_uplink_before_its_hold_down_is_over(steps: list[tuple[float, bool, bool]]) -> None:
    story, now = Story(), 0.0
    before = story.plan(now).uplink
    for seconds, well_a, well_b in steps:
        now += seconds
        choice = story.plan(now, a_down6="" if well_a else "x", b_down6="" if well_b else "x")
        assert choice.uplink in ({"a"} if well_a else set()) | ({"b"} if well_b else set()) | {None}
        assert (choice.uplink is None) == (not well_a and not well_b)
        if choice.uplink == "a" and before == "b" and well_b:
            fares = story.memory.standings["a/6"]
            assert now >= fares.since + hold(BASE, fares.flaps), "moved too early"
        before = choice.uplink


@given(moments)
def test_planning_again_changes_nothing(steps: list[tuple[float, bool, bool]]) -> None:
    story, now = Story(), 0.0
    for seconds, well_a, well_b in steps:
        now += seconds
        facts = {"a_down6": "" if well_a else "x", "b_degraded6": "" if well_b else "x"}
        first = story.plan(now, **facts)
        memory = story.memory
        assert story.plan(now, **facts) == first
        assert story.memory == memory


def test_families_fare_alone() -> None:
    found = both(a_down4="no IPv4 address")
    fares = standings(standing_of_all_well(), found, 1)
    assert not fares["a/4"].well
    assert fares["a/6"].well


def standing_of_all_well() -> Memory:
    return Memory(standings=standings(Memory(), both(), 0))
