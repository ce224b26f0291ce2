from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agent.plan.marks import FIRST, LAST, allocate

names = st.lists(st.text("abcdef", min_size=1, max_size=3), unique=True, max_size=12)


@given(st.lists(names, max_size=8))
def test_a_mark_is_given_once_and_kept_whatever_the_order(rounds: list[list[str]]) -> None:
    known: dict[str, int] = {}
    for uplinks in rounds:
        marks, problems = allocate(known, uplinks)
        assert not problems
        assert {name: marks[name] for name in known} == known  # also of uplinks that are gone now
        assert set(uplinks) <= set(marks)
        assert len(set(marks.values())) == len(marks)
        assert all(FIRST <= mark <= LAST for mark in marks.values())
        known = dict(marks)


def test_when_marks_are_used_up_the_rest_is_reported() -> None:
    known = {f"old{n}": n for n in range(FIRST, LAST + 1)}
    marks, problems = allocate(known, ["new"])
    assert "new" not in marks
    assert [problem.part for problem in problems] == ["uplink/new"]
