"""A problem is said in the log when it appears, and a machine that makes many fills no log."""

from __future__ import annotations

from agent.desired import Problem
from agent.told import APART, MOST, Told


def test_a_problem_is_told_once() -> None:
    told, problem = Told(), Problem("exposure/vm1", "refused")
    assert told.new([problem], 0.0) == [problem]
    assert told.new([problem], 100.0) == []
    assert told.new([], 200.0) == []
    assert told.new([problem], 300.0) == []


def test_of_one_part_a_line_at_a_time_and_none_is_lost() -> None:
    told = Told()
    first, second, other = Problem("a", "1"), Problem("a", "2"), Problem("b", "1")
    assert told.new([first, second, other], 0.0) == [first, other]
    assert told.new([first, second, other], APART / 2) == []
    assert told.new([first, second, other], APART) == [second]


def test_what_is_remembered_is_bounded() -> None:
    told = Told()
    for number in range(MOST + 10):
        told.new([Problem(f"part/{number}", "1")], 0.0)
    assert len(told._told) == len(told._last) == MOST
