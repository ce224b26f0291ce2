"""Durations and ports, by hypothesis."""

from __future__ import annotations

import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from agent.config.base import MendError
from agent.config.ports import parse_ports
from agent.config.texts import duration_text, parse_duration


@given(st.integers(0, 10**6), st.sampled_from(["ms", "s", "m", "h", "d"]))
def test_durations(number: int, unit: str) -> None:
    worth = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}[unit]
    assert parse_duration(f"{number}{unit}") == pytest.approx(number * worth)
    assert parse_duration(duration_text(parse_duration(f"{number}{unit}"))) == parse_duration(f"{number}{unit}")


def test_300ms_is_exactly_what_python_calls_it() -> None:
    assert parse_duration("300ms") == 0.3
    assert parse_duration("0.5s") == 0.5
    assert [duration_text(d) for d in (43200.0, 0.3, 600.0, 90.0, 86400.0)] == ["12h", "300ms", "10m", "90s", "1d"]


@given(st.text(max_size=8) | st.integers() | st.floats() | st.none() | st.booleans() | st.lists(st.integers()))
def test_any_other_duration_is_refused_with_a_mend(value: object) -> None:
    assume(not isinstance(value, str) or not re.fullmatch(r"[0-9.]+(ms|s|m|h|d)", value))
    with pytest.raises(MendError) as caught:
        parse_duration(value)
    assert caught.value.message
    assert "ms s m h d" in caught.value.mend


@given(st.lists(st.tuples(st.integers(1, 65535), st.integers(0, 100)), min_size=1, max_size=5))
def test_lists_of_ports(ranges: list[tuple[int, int]]) -> None:
    wanted = tuple((first, min(first + more, 65535)) for first, more in ranges)
    assert parse_ports([f"{first}-{last}" for first, last in wanted]) == wanted
    assert parse_ports([first for first, _ in wanted]) == tuple((first, first) for first, _ in wanted)
