from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agent.plan.window import DAY, WEEK, window

SPANS = st.lists(
    st.tuples(st.integers(0, WEEK - 1), st.integers(1, DAY)).map(lambda pair: (pair[0], pair[0] + pair[1])),
    min_size=1,
    max_size=8,
)


def test_office_hours_in_summer_are_two_hours_earlier_in_utc() -> None:
    spans = tuple((day * DAY + 8 * 3600, day * DAY + 18 * 3600) for day in range(5))
    assert window(spans, 7200) == tuple((day, 6 * 3600, 16 * 3600 - 1) for day in range(1, 6))


def test_a_night_is_split_at_midnight_and_the_week_goes_round() -> None:
    sunday_night = ((6 * DAY + 22 * 3600, 7 * DAY + 6 * 3600),)
    assert window(sunday_night, 0) == ((1, 0, 6 * 3600 - 1), (0, 22 * 3600, DAY - 1))


def test_monday_morning_may_still_be_sunday_in_utc() -> None:
    assert window(((0, 3600),), 7200) == ((0, 22 * 3600, 23 * 3600 - 1),)


@given(SPANS, st.integers(-14, 14).map(lambda hours: hours * 3600), st.integers(0, WEEK - 1))
def test_a_moment_is_inside_in_utc_where_it_is_in_local_time(
    spans: list[tuple[int, int]], offset: int, moment: int
) -> None:
    local = (moment + offset) % WEEK
    inside = any(first <= at < end for first, end in spans for at in (local, local + WEEK))
    day, second = (moment // DAY + 1) % 7, moment % DAY
    found = window(spans, offset)
    assert any(d == day and first <= second <= last for d, first, last in found) == inside
    assert all(0 <= first <= last < DAY for _, first, last in found)
    assert len({(d, first) for d, first, _ in found}) == len(found)
