"""What the firewall makes of its own questions to an ingress."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agent.desired.probe import WATCH_DEAD
from agent.model import Family, Reach
from agent.reach import HURRIED, INTERVAL, MISSES, RETURNS, Contact, after_question

NONE: frozenset[Family] = frozenset()
FOUR: frozenset[Family] = frozenset({4})


def after(contact: Contact, *heard: frozenset[Family] | None) -> Contact:
    for one in heard:
        contact = after_question(contact, one)
    return contact


def test_nothing_is_known_until_an_answer_or_three_misses() -> None:
    assert Contact().reach == after(Contact(), None, None).reach == Reach()
    assert after(Contact(), NONE).reach == Reach("up", "up")
    assert after(Contact(), *[None] * MISSES).reach == Reach("silent", "silent")


def test_what_it_says_of_itself_counts_at_once_per_family() -> None:
    up = after(Contact(), NONE)
    assert after(up, FOUR).reach == Reach("refused", "up")
    assert after(up, frozenset({4, 6})).reach == Reach("refused", "refused")
    assert after(up, FOUR, NONE).reach == Reach("up", "up")


def test_a_silent_one_returns_after_some_answers_in_a_row() -> None:
    silent = after(Contact(), NONE, *[None] * MISSES)
    assert silent.reach == Reach("silent", "silent")
    assert after(silent, NONE, NONE, None, NONE, NONE).reach == Reach("silent", "silent")
    assert after(silent, *[NONE] * RETURNS).reach == Reach("up", "up")


@given(st.lists(st.none() | st.sampled_from([NONE, FOUR]), max_size=40))
def test_it_is_silent_only_after_three_misses_in_a_row(heard: list[frozenset[Family] | None]) -> None:
    contact = Contact()
    for number, one in enumerate(heard):
        before, contact = contact, after_question(contact, one)
        if contact.silent and not before.silent:
            assert heard[number - MISSES + 1 : number + 1] == [None] * MISSES


def test_a_dead_ingress_is_noticed_within_half_a_second() -> None:
    # It dies just after an answer. Its first question comes an interval later and is missed after another; then hurry.
    assert INTERVAL * 2 + HURRIED * (MISSES - 1) < 0.41
    missed = after(Contact(), NONE, None)
    assert missed.doubtful
    assert not after(missed, NONE).doubtful
    assert not after(missed, None, None).doubtful, "it is known"


def test_no_hop_limit_of_an_answer_is_one_that_a_kernel_sends() -> None:
    assert not set(WATCH_DEAD.values()) & {64, 128, 255}
    assert len(set(WATCH_DEAD.values())) == len(WATCH_DEAD) == 3


def test_what_stays_the_same_makes_no_new_value() -> None:
    steady = after(Contact(), *[NONE] * RETURNS)
    assert after_question(steady, NONE) is steady
    silent = after(steady, *[None] * MISSES)
    assert after_question(silent, None) is silent
