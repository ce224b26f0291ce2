"""The verdict on an uplink's family: when it is down, up and degraded, and that a day of loss is no failure."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.desired.probe import NextHop, Rounds
from agent.health import (
    ASKS,
    EASED,
    PATIENCE,
    SETTLED,
    WINDOW,
    Record,
    Track,
    after_question,
    after_round,
    failed,
    still_down,
    to_ask,
    unverified,
)
from agent.model import FamilyHealth
from tests.simulation import DAY, LOSS, simulated

DEFAULT = Rounds()
DOUBT = replace(DEFAULT, interval=1.0, timeout=1.0, doubt=True, recover_after=3)
answers = st.lists(st.integers(0, 2), max_size=60)
policies = st.builds(
    Rounds,
    fail_after=st.integers(1, 5),
    recover_after=st.integers(1, 12),
    quorum=st.integers(1, 2),
    doubt=st.booleans(),
)


def after(track: Track, rounds: Rounds, *answered: int, start: float = 0.0, next_hop: NextHop = "unknown") -> Track:
    for number, one in enumerate(answered):
        track = after_round(track, rounds, answered=one, now=start + number, next_hop=next_hop)
    return track


def test_the_first_good_round_is_enough_and_the_third_bad_one_in_a_row_is_a_failure() -> None:
    assert Track().health() is None
    up = after(Track(), DEFAULT, 1)
    assert up.health() == FamilyHealth(up=True, since=0.0)
    assert after(up, DEFAULT, 0, 0, 1, 0, 0).up
    down = after(up, DEFAULT, 0, 0, 0, start=10.0)
    assert (down.up, down.since) == (False, 12.0)


def test_recovery_takes_ten_good_rounds_in_a_row() -> None:
    down = after(after(Track(), DEFAULT, 1), DEFAULT, 0, 0, 0)
    assert after(down, DEFAULT, *[1] * 9).up is False
    assert after(down, DEFAULT, *[1] * 9, 0, *[1] * 9).up is False
    up = after(down, DEFAULT, *[1] * 10, start=100.0)
    assert (up.up, up.since) == (True, 109.0)


def test_a_quorum_must_answer() -> None:
    two = replace(DEFAULT, quorum=2)
    assert after(after(Track(), two, 2), two, 1, 1, 1).up is False
    assert after(Track(), two, *[1] * two.first).up is False
    assert after(Track(), two, 2).up


def test_an_agent_that_begins_waits_for_a_late_answer_before_its_first_verdict() -> None:
    assert after(Track(), DEFAULT, *[0] * (DEFAULT.first - 1)).up is None
    assert after(Track(), DEFAULT, *[0] * (DEFAULT.first - 1), 1).up
    assert DEFAULT.interval * DEFAULT.first >= DEFAULT.late == 3.0
    slow = Rounds(interval=20.0, timeout=20.0)
    assert (slow.late, slow.first) == (60.0, 3)


def test_a_family_that_appears_is_down_until_its_first_good_round() -> None:
    assert unverified(5.0).health() == FamilyHealth(up=False, since=5.0)
    assert after(unverified(5.0), DEFAULT, 0, 0, 0, 0).up is False
    assert after(unverified(5.0), DEFAULT, 0, 1).up


def test_what_has_answered_once_is_believed_when_it_falls_silent() -> None:
    assert after(Track(), DOUBT, 1, 0, 0, 0).up is False


def test_what_never_answers_says_nothing_until_patience_ends() -> None:
    assert after(Track(), DOUBT, *[0] * (PATIENCE - 1)).up is None
    assert after(Track(), DOUBT, *[0] * PATIENCE).up
    assert after(unverified(0.0), DOUBT, *[0] * PATIENCE).up


def test_what_never_answers_is_down_when_the_kernel_gives_it_up_and_up_only_when_it_finds_it_again() -> None:
    down = after(Track(), DOUBT, 0, 0, 0, next_hop="lost")
    assert down.up is False
    assert after(down, DOUBT, *[0] * 2 * PATIENCE).up is False, "patience proves nothing against the kernel"
    assert after(down, DOUBT, 0, next_hop="found").up
    assert after(down, DOUBT, 1, 1, 1).up, "or when it answers"
    up = after(Track(), DOUBT, *[0] * PATIENCE)
    assert after(up, DOUBT, 0, next_hop="lost").up is False


def test_what_the_kernel_found_is_alive_where_it_is_new_but_not_where_the_agent_is() -> None:
    assert after(unverified(0.0), DOUBT, 0, 0, 0, next_hop="found").up
    assert after(Track(), DOUBT, *[0] * (PATIENCE - 1), next_hop="found").up is None, "found before it died, perhaps"
    assert after(Track(), DOUBT, *[0] * PATIENCE, next_hop="found").up


def test_what_an_earlier_life_knew_to_be_down_recovers_as_any_other() -> None:
    assert after(still_down(DEFAULT, 5.0), DEFAULT, *[1] * 9).up is False
    assert after(still_down(DEFAULT, 5.0), DEFAULT, *[1] * 10).up


def test_an_event_fails_it_at_once() -> None:
    track = failed(after(Track(), DEFAULT, 1), DEFAULT, 7.0)
    assert (track.up, track.since) == (False, 7.0)
    assert after(track, DEFAULT, *[1] * 9).up is False


@given(policies, answers)
def test_verdicts_change_only_as_the_policy_says(rounds: Rounds, given_answers: list[int]) -> None:
    track = Track()
    for number, answered in enumerate(given_answers):
        before, track = track, after_round(track, rounds, answered=answered, now=float(number))
        last = [one >= rounds.quorum for one in given_answers[: number + 1]]
        if before.up is not True and track.up:
            well = len(last) - 1 - max((i for i, one in enumerate(last) if not one), default=-1)
            assert well >= (1 if before.up is None else rounds.recover_after) or rounds.doubt
            assert track.since == number
        if before.up is not False and track.up is False:
            assert not any(last[-(rounds.first if before.up is None else rounds.fail_after) :])
            assert track.since == number
        if before.up == track.up:
            assert track.since == before.since


@given(st.integers(1, 4), st.integers(0, 50), st.integers(1, 4))
def test_a_round_asks_one_then_all_then_all_again(targets: int, turn: int, quorum: int) -> None:
    rounds = replace(DEFAULT, quorum=min(quorum, targets))
    first = to_ask(0, answered=0, turn=turn, targets=targets, rounds=rounds)
    assert len(set(first)) == len(first) == rounds.quorum
    for step in range(1, ASKS):
        assert to_ask(step, answered=0, turn=turn, targets=targets, rounds=rounds) == tuple(range(targets))
        assert to_ask(step, answered=rounds.quorum, turn=turn, targets=targets, rounds=rounds) == ()


def test_every_target_has_its_turn() -> None:
    seen = [to_ask(0, answered=0, turn=turn, targets=3, rounds=DEFAULT)[0] for turn in range(6)]
    assert seen == [0, 1, 2, 0, 1, 2]


@given(st.lists(st.none() | st.floats(0.001, 2.0), max_size=300))
def test_a_record_counts_the_window_and_smooths_the_time(rtts: list[float | None]) -> None:
    record = Record()
    for rtt in rtts:
        record = record.after(rtt)
    window = rtts[-WINDOW:]
    assert record.loss == pytest.approx(sum(rtt is None for rtt in window) / len(window) if window else 0.0)
    known = [rtt for rtt in rtts if rtt is not None]
    assert (record.rtt is None) == (not known)
    assert record.rtt is None or min(known) - 1e-9 <= record.rtt <= max(known) + 1e-9


def measured(track: Track, target: int, rtts: list[float | None]) -> Track:
    for rtt in rtts:
        track = after_round(after_question(track, target, rtt), DEFAULT, answered=1, now=0.0)
    return track


def test_loss_above_the_threshold_degrades_until_it_is_clearly_below() -> None:
    lossy = measured(Track(), 0, [0.02, None] * (SETTLED // 2 - 1))
    assert not lossy.degraded, "too few questions to judge"
    lossy = measured(lossy, 0, [0.02, None])
    assert lossy.degraded
    assert lossy.health() == FamilyHealth(up=True, loss=0.5, rtt=0.02, degraded=True, since=0.0)
    better = measured(lossy, 0, [0.02] * WINDOW)
    assert not better.degraded
    limit = DEFAULT.max_loss or 0.0
    near = measured(lossy, 0, [None if number % 9 < 2 else 0.02 for number in range(WINDOW)])
    assert limit * EASED < near.records[0].loss < limit
    assert near.degraded, "just below the threshold is no recovery"


def test_a_dead_target_degrades_nothing_while_another_answers() -> None:
    track = measured(measured(Track(), 0, [None] * WINDOW), 1, [0.03] * WINDOW)
    assert not track.degraded
    loss, rtt = track.measured()
    assert (loss, rtt) == (0.0, 0.03)


def test_an_outage_that_is_over_is_no_degradation() -> None:
    down = after(measured(Track(), 0, [0.02] * SETTLED), DEFAULT, 0, 0, 0)
    for _ in range(WINDOW):
        down = after_round(after_question(down, 0, None), DEFAULT, answered=0, now=0.0)
    up = after(down, DEFAULT, *[1] * DEFAULT.recover_after)
    assert (up.up, up.degraded, up.records) == (True, False, {})
    assert not measured(up, 0, [0.02] * SETTLED).degraded


def test_latency_above_the_threshold_degrades() -> None:
    slow = replace(DEFAULT, max_latency=0.2)
    track = Track()
    for _ in range(SETTLED):
        track = after_round(after_question(track, 0, 0.3), slow, answered=1, now=0.0)
    assert track.degraded


def test_a_day_of_5_per_cent_loss_each_way_is_no_failure_with_a_single_target() -> None:
    verdicts = simulated(DEFAULT, 1, DAY, LOSS, seed=1)
    assert [(one.up, one.degraded) for one in verdicts] == [(None, False), (True, False)]


def test_the_simulation_would_notice_a_failure() -> None:
    verdicts = simulated(DEFAULT, 1, 3600.0, 0.6, seed=1)
    assert {one.up for one in verdicts} == {None, True, False}
