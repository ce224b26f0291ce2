"""A benchmark that misses its bound says so."""

from __future__ import annotations

from tests.bench.report import Bound, figure


def test_a_figure_has_median_p99_and_worst() -> None:
    entry = figure("x", "ms", [float(n) for n in range(1, 101)], {"shell": [10.0, 20.0, 30.0]})
    assert (entry.median, entry.p99, entry.worst, entry.runs) == (50.5, 100.0, 100.0, 100)
    assert entry.against == {"shell": 20.0}


def test_a_bound_names_what_is_not_met() -> None:
    entry = figure("x", "ms", [1.0, 2.0, 30.0], {"shell": [4.0]})
    assert Bound("x", median=2, p99=30, faster=("shell", 2)).broken(entry) == []
    broken = Bound("x", median=1, p99=29, worst=10, faster=("shell", 5)).broken(entry)
    assert len(broken) == 4
    assert broken[0] == "median 2 ms > 1"
